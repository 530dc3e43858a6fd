/** The command line of the project, run as a person runs it. */
import { fileURLToPath } from "node:url";
import { runProgram } from "../../engine/machines/program.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** @returns all that it says */
export async function synapseMigrate(args: readonly string[]): Promise<string> {
    const { stdout, stderr } = await runProgram(process.execPath, ["steps/synapse-migrate.mjs", ...args], {
        workingDirectory: root,
        timeoutSeconds: 120,
    });
    return stdout + stderr;
}
