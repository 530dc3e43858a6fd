/** How long each part of a rehearsal took. */
import type { Progress } from "../engine/run/progress.ts";

export class Timings {
    readonly #parts: { readonly title: string; readonly seconds: number; readonly failed: boolean }[] = [];
    readonly #started = performance.now();

    constructor(private readonly progress: Progress) {}

    /** Runs a part, says when it begins and ends, and remembers how long it took, also when it fails. */
    public async during<T>(title: string, work: () => Promise<T>): Promise<T> {
        const started = performance.now();
        let failed = true;
        try {
            const result = await this.progress.during(title, work);
            failed = false;
            return result;
        } finally {
            this.#parts.push({ title, seconds: (performance.now() - started) / 1000, failed });
        }
    }

    /** One line a part, in order, and the sum of the wall clock. */
    public table(): string {
        const rows = [
            ...this.#parts.map(
                ({ title, seconds, failed }) => [failed ? `${title} (failed)` : title, seconds] as const,
            ),
            ["total", (performance.now() - this.#started) / 1000] as const,
        ];
        const width = Math.max(...rows.map(([title]) => title.length));
        return rows.map(([title, seconds]) => `${title.padEnd(width)} ${seconds.toFixed(1).padStart(7)} s`).join("\n");
    }
}
