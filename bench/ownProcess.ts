/** Runs work of ours in a process of its own, so that its peak memory can be told, and reads what it measured. */
import type { z } from "zod";
import { runProgram } from "../engine/machines/program.ts";
import { methodSeconds } from "./methods/method.ts";

/**
 * The seconds that it tells are those of the work, without the half second in which Node starts.
 *
 * @param program  path of a TypeScript file that takes a task as JSON on standard input and answers with JSON on standard output
 */
export async function inOwnProcess<T>(program: string, task: object, answer: z.ZodType<T>): Promise<T> {
    const { stdout } = await runProgram(process.execPath, ["--import", import.meta.resolve("tsx"), program], {
        input: JSON.stringify(task),
        timeoutSeconds: methodSeconds,
    });
    return answer.parse(JSON.parse(stdout));
}
