/** Runs the small Python programs beside this file with the Python of the target's Synapse: SQLite comes with it. */
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { runProgram } from "../machines/program.ts";

export interface PythonProgramOptions {
    /** Path of a Python that has the target's Synapse. */
    readonly python: string;
    readonly signal?: AbortSignal;
    /** Gets a line for people now and then. */
    readonly onProgress?: (line: string) => void;
}

type PythonProgram =
    | "copy_database.py"
    | "check_database.py"
    | "port_database.py"
    | "read_tables.py"
    | "strip_nul.py"
    | "upgrade_database.py";

export interface PythonProgramCall {
    readonly program: PythonProgram;
    readonly args?: readonly string[];
    /** Written to its standard input as JSON. */
    readonly question?: object;
    readonly timeoutSeconds: number;
}

const said = z.object({ progress: z.string() });

/**
 * Its standard output: one JSON value a line.
 *
 * @throws MigrationError SM-E1101 when it fails or takes too long
 */
export async function runPythonProgram<T>(
    call: PythonProgramCall,
    shape: z.ZodType<T>,
    { python, signal, onProgress }: PythonProgramOptions,
): Promise<T[]> {
    const program = fileURLToPath(new URL(call.program, import.meta.url));
    // Isolated (-I): neither our directory nor the environment adds modules. No byte code is left beside the programs (-B).
    const { stdout } = await runProgram(python, ["-I", "-B", program, ...(call.args ?? [])], {
        workingDirectory: "/",
        ...(call.question === undefined ? {} : { input: JSON.stringify(call.question) }),
        timeoutSeconds: call.timeoutSeconds,
        ...(signal === undefined ? {} : { signal }),
        onErrorLine: (line) => {
            const progress = progressOf(line);
            if (progress !== undefined) onProgress?.(progress);
        },
    });
    return stdout
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => shape.parse(JSON.parse(line)));
}

/** Like {@link runPythonProgram} for a program that answers with one line. */
export async function askPythonProgram<T>(
    call: PythonProgramCall,
    shape: z.ZodType<T>,
    options: PythonProgramOptions,
): Promise<T> {
    const [answer, ...more] = await runPythonProgram(call, shape, options);
    if (answer === undefined || more.length > 0)
        throw new Error(`${call.program} answered with ${more.length + (answer === undefined ? 0 : 1)} lines`);
    return answer;
}

function progressOf(line: string): string | undefined {
    if (!line.startsWith("{")) return undefined;
    try {
        return said.safeParse(JSON.parse(line)).data?.progress;
    } catch {
        return undefined; // A line of a library, which happens to begin so.
    }
}
