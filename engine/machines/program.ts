/** Runs a program: no shell, a clean environment, its end checked, killed when we are killed. */
import { execa, ExecaError } from "execa";
import { MigrationError } from "../run/errors.ts";
import { redact } from "../run/redaction.ts";

export interface ProgramOptions {
    readonly workingDirectory?: string;
    /** Added to PATH, HOME, LANG and TZ, the only ones passed on: what the caller inherited may hold secrets. */
    readonly environment?: Readonly<Record<string, string>>;
    /** Written to its standard input, which is then closed. The place for secrets. */
    readonly input?: string;
    /** Run as this user instead of our own. */
    readonly user?: { readonly uid: number; readonly gid: number };
    /** A program that takes longer is killed. There is no default: every wait has a deadline. */
    readonly timeoutSeconds: number;
    readonly signal?: AbortSignal;
    /** Gets each line of its standard error as it is written. */
    readonly onErrorLine?: (line: string) => void;
}

export interface ProgramResult {
    readonly stdout: string;
    readonly stderr: string;
    readonly seconds: number;
}

/** Standard output and error are kept up to this size each; more is an error, not a truncation. */
const largestOutput = 64 * 1024 * 1024;
const linesInError = 12;

/**
 * Runs a program to its end.
 *
 * @param program  absolute path, or a name looked up on PATH
 * @throws MigrationError SM-E1101 when it cannot be started, fails, is killed or takes too long; names its last lines
 */
export async function runProgram(
    program: string,
    args: readonly string[],
    options: ProgramOptions,
): Promise<ProgramResult> {
    const started = performance.now();
    // setpriv has the kernel kill the program when this process dies, so that no orphan goes on writing.
    const child = execa("setpriv", ["--pdeathsig", "KILL", "--", program, ...args], {
        ...(options.workingDirectory === undefined ? {} : { cwd: options.workingDirectory }),
        env: baseEnvironment(options.environment),
        extendEnv: false,
        ...(options.input === undefined ? { stdin: "ignore" as const } : { input: options.input }),
        ...(options.user ?? {}),
        timeout: options.timeoutSeconds * 1000,
        ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
        forceKillAfterDelay: 5000,
        maxBuffer: largestOutput,
        stripFinalNewline: false,
    });
    const watching =
        options.onErrorLine === undefined ? undefined : watch(child.iterable({ from: "stderr" }), options.onErrorLine);
    try {
        const [{ stdout, stderr }] = await Promise.all([child, watching]);
        return { stdout, stderr, seconds: (performance.now() - started) / 1000 };
    } catch (error) {
        if (!(error instanceof ExecaError)) throw error;
        throw programFailed(program, ending(error, options.timeoutSeconds), error.stderr);
    }
}

/** @param stderr  whose last lines are told */
export function programFailed(where: string, ending: string, stderr: unknown): MigrationError {
    return new MigrationError("SM-E1101", {
        where,
        found: redact(`${ending}${lastLines(stderr)}`),
        expected: "the program to end with exit code 0",
    });
}

/** The environment that programs get: nothing but what finds and localises them, and what the caller adds. */
export function baseEnvironment(additions: Readonly<Record<string, string>> = {}): Record<string, string> {
    const { PATH, HOME, NODE_V8_COVERAGE } = process.env;
    return {
        PATH: PATH ?? "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        HOME: HOME ?? "/",
        LANG: "C.UTF-8",
        TZ: "UTC",
        ...(NODE_V8_COVERAGE === undefined ? {} : { NODE_V8_COVERAGE }),
        ...additions,
    };
}

async function watch(lines: AsyncIterable<string>, onLine: (line: string) => void): Promise<void> {
    for await (const line of lines) onLine(line);
}

function ending(
    error: Pick<ExecaError, "timedOut" | "isCanceled" | "isMaxBuffer" | "signal" | "exitCode" | "shortMessage">,
    timeoutSeconds: number,
): string {
    if (error.timedOut) return `it was still running after ${timeoutSeconds} s and was killed`;
    if (error.isCanceled) return "it was stopped because this step was stopped";
    if (error.isMaxBuffer) return `it wrote more than ${largestOutput} bytes`;
    if (error.signal !== undefined) return `it was killed by ${error.signal}`;
    if (error.exitCode === undefined) return `it could not be started: ${error.shortMessage}`;
    return `it ended with exit code ${error.exitCode}`;
}

function lastLines(text: unknown): string {
    const lines = (typeof text === "string" ? text : "").trimEnd().split("\n").slice(-linesInError);
    return lines.join("").trim() === "" ? "" : `\n${lines.join("\n")}`;
}
