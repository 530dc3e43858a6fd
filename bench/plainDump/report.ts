/** What the bench prints: a table for people on standard error, JSON on standard output. */

export interface Measured {
    readonly seconds: number;
    /** Resident memory of this process, with Node itself. */
    readonly peakBytes?: number;
}

export interface Result {
    readonly machine: { readonly cores: number; readonly model: string };
    readonly plainBytes: number;
    readonly dumpBytes: number;
    readonly jobs: number;
    readonly rounds: number;
    readonly measured: Readonly<Record<"psql" | "loader", readonly Measured[]>>;
    /** Of reading all tables back and comparing their digests with the dump's, which psql cannot do. */
    readonly checkSeconds: number;
    /** How many times as fast as psql the loader is. */
    readonly ratio: number;
}

export function median(values: readonly number[]): number {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = Math.floor(sorted.length / 2);
    const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
    if (low === undefined || high === undefined) throw new Error("no values");
    return (low + high) / 2;
}

export function report(result: Result): void {
    const { measured, plainBytes } = result;
    const line = (name: string, runs: readonly Measured[]): string => {
        const seconds = median(runs.map((run) => run.seconds));
        const peak = Math.max(0, ...runs.map(({ peakBytes = 0 }) => peakBytes));
        const memory = peak === 0 ? "" : `${Math.round(peak / 2 ** 20)} MiB`;
        const all = runs.map((run) => run.seconds.toFixed(1)).join(", ");
        return `| ${name} | ${seconds.toFixed(1)} | ${(plainBytes / 1e6 / seconds).toFixed(0)} | ${all} | ${memory} |`;
    };
    process.stderr.write(
        [
            "",
            `${(plainBytes / 1e6).toFixed(0)} MB of SQL, ${(result.dumpBytes / 1e6).toFixed(0)} MB compressed and encrypted, ${result.machine.cores} cores`,
            "",
            "| way | median s | MB/s | runs s | peak memory |",
            "| --- | --- | --- | --- | --- |",
            line("gpg -d, gunzip, psql", measured.psql),
            line(`loader, ${result.jobs} jobs`, measured.loader),
            "",
            `ratio ${result.ratio.toFixed(2)}; comparing all rows with the dump afterwards: ${result.checkSeconds.toFixed(1)} s`,
            "",
        ].join("\n"),
    );
    process.stdout.write(`${JSON.stringify(result)}\n`);
}
