/** What this project does instead. */
import { join } from "node:path";
import { generatedDatabase } from "../data/cache.ts";
import { inOwnProcess } from "../ownProcess.ts";
import { measurement } from "../results/results.ts";
import type { Task } from "../tasks/task.ts";
import type { Bench, Measurement, Method } from "./method.ts";
import { encryptedDump } from "./programs.ts";

const program = join(import.meta.dirname, "..", "tasks", "process.ts");

/** `rows`, `indexes` and `hashes` overlap. */
export const direct: Method = {
    id: "direct",
    title: "copy: direct",
    fillsTarget: true,
    collectsStatistics: true,
    measure: (bench, database) => directFrom(bench, database, {}),
};

/** @param ends  where the source is found, if not where it is */
export function directFrom(
    bench: Bench,
    database: string,
    ends: { readonly host?: string; readonly port?: number },
): Promise<Measurement> {
    const { source, ...task } = between(bench, database);
    return measured({ kind: "direct", ...task, source: { ...source, ...ends } });
}

export const load: Method = {
    id: "load",
    title: "a2's dump by our loader, restore only",
    fillsTarget: true,
    collectsStatistics: false,
    async measure(bench, database) {
        const dump = await encryptedDump(bench);
        return measured({ kind: "load", ...between(bench, database), dump, passphraseFile: bench.passphraseFile });
    },
};

/** Every row of both sides, compared. */
export function verify(bench: Bench, database: string): Promise<Measurement> {
    return measured({ kind: "verify", ...between(bench, database) });
}

const measured = (task: Task): Promise<Measurement> => inOwnProcess(program, task, measurement);

/** What every task is told. */
function between(bench: Bench, database: string): Pick<Task, "source" | "target" | "jobs" | "directory" | "programs"> {
    const { directory, programs, jobs, source, target } = bench;
    return { source: source.address(generatedDatabase), target: target.address(database), jobs, directory, programs };
}
