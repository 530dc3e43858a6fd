/** Hands work to whichever connection is free. */
import type { Client } from "../connection.ts";

export type Work = (client: Client) => Promise<void>;

/** Waits end with the signal's reason when it aborts: whoever aborts ends the connections too. */
export class WorkQueue {
    private readonly signal: AbortSignal;
    private readonly waiting: Work[] = [];
    private readonly changed = new Set<() => void>();
    private open = true;
    private unfinished = 0;

    constructor(signal: AbortSignal) {
        this.signal = signal;
        signal.addEventListener("abort", () => this.notify(), { once: true });
    }

    public submit(work: Work): void {
        this.unfinished += 1;
        this.waiting.push(work);
        this.notify();
    }

    /** {@link submit}, and waits until it is done. */
    public async perform(work: Work): Promise<void> {
        const state = { done: false };
        this.submit(async (client) => {
            await work(client);
            state.done = true;
        });
        while (!state.done) await this.change();
    }

    /** Until everything submitted is done. */
    public async drained(): Promise<void> {
        while (this.unfinished > 0) await this.change();
    }

    /** Lets {@link serve} return when nothing is left. */
    public close(): void {
        this.open = false;
        this.notify();
    }

    /** Works until the queue is closed. */
    public async serve(client: Client): Promise<void> {
        for (;;) {
            this.signal.throwIfAborted();
            const work = this.waiting.shift();
            if (work !== undefined) {
                await work(client);
                this.unfinished -= 1;
                this.notify();
            } else if (this.open) await this.change();
            else return;
        }
    }

    /** Until {@link notify}: of this queue, or of what its work depends on. */
    public async change(): Promise<void> {
        this.signal.throwIfAborted();
        await new Promise<void>((resolve) => this.changed.add(resolve));
        this.signal.throwIfAborted();
    }

    public notify(): void {
        const waiting = [...this.changed];
        this.changed.clear();
        for (const wake of waiting) wake();
    }
}
