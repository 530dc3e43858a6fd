/** Runs a task of ours in a process of its own, and reads what that measured. */
import { join } from "node:path";
import { z } from "zod";
import { runProgram } from "../steps/hosts/program.ts";
import { methodSeconds, type Bench, type Measurement } from "./methods/method.ts";
import type { Task } from "./tasks/task.ts";
import { generatedDatabase } from "./data/cache.ts";

const answer = z.strictObject({ seconds: z.number(), parts: z.record(z.string(), z.number()), peakBytes: z.number() });

/** What every task is told. */
export function taskBase(
    bench: Bench,
    database: string,
): Pick<Task, "source" | "target" | "jobs" | "directory" | "programs"> {
    const { directory, programs, jobs, source, target } = bench;
    return { source: source.address(generatedDatabase), target: target.address(database), jobs, directory, programs };
}

/** The seconds are those of the work, without the half second in which Node starts. */
export async function inOwnProcess(task: Task): Promise<Measurement> {
    const { stdout } = await runProgram(
        process.execPath,
        ["--import", import.meta.resolve("tsx"), join(import.meta.dirname, "child.ts")],
        { input: JSON.stringify(task), timeoutSeconds: methodSeconds },
    );
    return answer.parse(JSON.parse(stdout));
}
