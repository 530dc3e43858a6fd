/** Runs one command the way the official plugin `command` 1.2.1 does: captured, logged line by line, killed on cancel. */
import { isUtf8 } from "node:buffer";
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";

export interface CommandProcess {
    /** The program and its first arguments; the command text is the last one. */
    readonly interpreter: readonly [string, ...string[]];
    readonly command: string;
    /** Absent: the plugin's own, which is the project's. */
    readonly workingDirectory?: string | undefined;
    /** Added to this process's whole environment. */
    readonly environment: Readonly<Record<string, string>>;
    /** Absent: the command reads from /dev/null. */
    readonly stdin?: string | undefined;
    readonly logged: { readonly stdout: boolean; readonly stderr: boolean };
    /** Called for each line of a logged stream, in order; the command waits while a line is taken. */
    readonly log: (line: string) => Promise<void>;
    /** Aborted by cancel, by the time-out of the resource and when the engine has gone. */
    readonly signal: AbortSignal;
}

export interface CommandOutput {
    /** Without one trailing newline. */
    readonly stdout: string;
    readonly stderr: string;
}

/** What a command that ended well has printed. */
export interface FinishedCommand extends CommandOutput {
    /** Whether all of it is text. What is not cannot be given to the engine. */
    readonly isUtf8: boolean;
}

/** The official plugin reads lines into a buffer of this size and waits for ever at a longer one. This one fails. */
const longestLine = 64 * 1024;

/**
 * Runs a command to its end.
 *
 * As with the official plugin an abort kills the direct child only, with SIGKILL, and the end is reported when the last holder
 * of its output has closed it: a grandchild can outlive and delay it.
 *
 * @throws Error with the exit status or signal, the command text and its whole output, in the official plugin's words
 */
export async function runCommandProcess(request: CommandProcess): Promise<FinishedCommand> {
    const [program, ...args] = [...request.interpreter, request.command];
    if (request.signal.aborted) throw new Error(`context canceled: running ${JSON.stringify(request.command)}`);
    const child = spawn(program, args, {
        ...(request.workingDirectory === undefined ? {} : { cwd: request.workingDirectory }),
        env: { ...process.env, ...request.environment },
        stdio: [request.stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    });
    const kill = (): void => {
        child.kill("SIGKILL");
    };
    request.signal.addEventListener("abort", kill, { once: true });
    // A command need not read what it is given: a closed pipe is its own decision.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(request.stdin);
    const combined: Buffer[] = [];
    try {
        const [stdout, stderr, status] = await Promise.all([
            capture(child.stdout, request.logged.stdout ? request.log : undefined, combined, kill),
            capture(child.stderr, request.logged.stderr ? request.log : undefined, combined, kill),
            ended(child),
        ]);
        if (status !== "exit status 0") throw new Error(status);
        const text = (output: Buffer): string => output.toString("utf8").replace(/\n$/, "");
        return { stdout: text(stdout), stderr: text(stderr), isUtf8: isUtf8(stdout) && isUtf8(stderr) };
    } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        const output = Buffer.concat(combined).toString();
        throw new Error(`${reason}: running ${JSON.stringify(request.command)}:\n${output}`, { cause: error });
    } finally {
        request.signal.removeEventListener("abort", kill);
    }
}

function ended(child: ReturnType<typeof spawn>): Promise<string> {
    return new Promise((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (code, signal) => {
            resolve(
                signal === null ? `exit status ${String(code)}` : `signal: ${signal === "SIGKILL" ? "killed" : signal}`,
            );
        });
    });
}

async function capture(
    stream: Readable | null,
    log: ((line: string) => Promise<void>) | undefined,
    combined: Buffer[],
    kill: () => void,
): Promise<Buffer> {
    const captured: Buffer[] = [];
    let rest = Buffer.alloc(0);
    for await (const chunk of stream ?? []) {
        if (!Buffer.isBuffer(chunk)) continue;
        captured.push(chunk);
        combined.push(chunk);
        if (log === undefined) continue;
        const lines = linesOf(Buffer.concat([rest, chunk]));
        rest = lines.pop() ?? Buffer.alloc(0);
        for (const line of lines) await logText(line, log);
        if (rest.length >= longestLine || lines.some((line) => line.length >= longestLine)) {
            kill();
            throw new Error(
                `a line of ${longestLine} bytes or more on a logged stream, at which the official plugin hangs`,
            );
        }
    }
    if (log !== undefined && rest.length > 0) await logText(rest, log);
    return Buffer.concat(captured);
}

/** The lines, and last what has no line end yet. */
function linesOf(bytes: Buffer<ArrayBuffer>): Buffer<ArrayBuffer>[] {
    const lines: Buffer<ArrayBuffer>[] = [];
    let start = 0;
    for (let end = bytes.indexOf(0x0a); end !== -1; end = bytes.indexOf(0x0a, start)) {
        lines.push(bytes.subarray(start, end));
        start = end + 1;
    }
    return [...lines, bytes.subarray(start)];
}

/** A line that is no text is lost: no message to the engine can hold it. */
async function logText(line: Buffer, log: (line: string) => Promise<void>): Promise<void> {
    if (isUtf8(line)) await log(line.toString("utf8").replace(/\r$/, ""));
}
