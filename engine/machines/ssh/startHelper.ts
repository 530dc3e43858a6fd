/** How the helper is started on a machine: by its `python3`; where there is none, by a Python that a shell there looks for. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pythonFromInput } from "../far/pythonFromInput.ts";

const helperFile = join(import.meta.dirname, "../far/far_helper.py");
const searchFile = join(import.meta.dirname, "find_python.sh");
const bootstrap = pythonFromInput("far_helper");

/** What is run there, and what comes over its standard input before any request. */
export interface HelperStart {
    readonly program: string;
    readonly args: readonly string[];
    readonly input: Buffer;
}

/** Takes the `python3` of the machine: the usual case, and the quickest. */
export async function withPython3(): Promise<HelperStart> {
    return { program: "python3", args: ["-I", "-c", bootstrap], input: await helperInput() };
}

/** Has `find_python.sh` look for one, which comes over standard input as all of ours does. */
export async function withFoundPython(): Promise<HelperStart> {
    const search = await readFile(searchFile, "utf8");
    return {
        program: "sh",
        args: ["-c", shellFromInput, "synapse-migration", bootstrap],
        input: Buffer.concat([Buffer.from(`${asLine(search)}\n`), await helperInput()]),
    };
}

/** `read` takes no byte beyond its line: what follows is for Python. */
const shellFromInput = 'IFS= read -r search; eval "$(printf %b "$search")"';

/** As `printf %b` turns it back. */
const asLine = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");

async function helperInput(): Promise<Buffer> {
    const program = await readFile(helperFile);
    return Buffer.concat([Buffer.from(`${program.length}\n`), program]);
}
