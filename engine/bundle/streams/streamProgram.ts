/** Runs a program as a part of a stream: bytes go in while bytes come out, a stall has a deadline, and its end is judged. */
import { spawn, type ChildProcess } from "node:child_process";
import { Readable, Writable } from "node:stream";
import { baseEnvironment } from "../../machines/program.ts";
import { MigrationError } from "../../run/errors.ts";
import { redact } from "../../run/redaction.ts";
import type { Bytes } from "./byteReader.ts";
import { drained } from "./drained.ts";

export interface StreamProgramOptions {
    readonly input: Bytes;
    /** What the program reads from descriptor 3. The place for a secret. */
    readonly secret: string;
    readonly environment?: Readonly<Record<string, string>>;
    /** A program that owes output or takes no input for longer is killed. The wait for its reader or its input does not count. */
    readonly stallSeconds: number;
    readonly signal?: AbortSignal | undefined;
    /** Throws when the program's end shows that its output is not all there is. */
    readonly judge: (end: ProgramEnd) => void;
}

/** How a program ended. */
export interface ProgramEnd {
    readonly exitCode: number | null;
    readonly endedBy: NodeJS.Signals | null;
    /** The end of what it wrote to its standard error. */
    readonly stderr: string;
    /** What it wrote to descriptor 4. */
    readonly status: string;
}

const largestMessages = 256 * 1024;

/**
 * What a program makes of the input. The last chunk may be used only when the generator has ended: the program's exit is known then.
 *
 * @throws MigrationError SM-E1101 when it cannot be started or stalls; what `judge` and the input throw
 */
export async function* streamProgram(
    program: string,
    args: readonly string[],
    options: StreamProgramOptions,
): AsyncGenerator<Buffer, void> {
    // setpriv has the kernel kill the program when this process dies, so that no orphan goes on.
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "--", program, ...args], {
        env: baseEnvironment(options.environment),
        stdio: ["pipe", "pipe", "pipe", "pipe", "pipe"],
    });
    const closed = new Promise<void>((resolve) => void child.once("close", () => resolve()));
    const [stdin, stdout, stderr, secret, status] = channels(child);
    const errorText = kept(stderr);
    const statusText = kept(status);
    for (const sink of [stdin, secret]) sink.on("error", ignoreClosedPipe);
    secret.end(options.secret);

    const watch = new StallWatch(options.stallSeconds, () => child.kill("SIGKILL"));
    const feeding = feed(options.input, stdin, watch);
    const abort = (): void => void child.kill("SIGKILL");
    options.signal?.addEventListener("abort", abort, { once: true });
    let failure: Error | undefined;
    child.once("error", (error) => (failure = error));
    feeding.catch((error: unknown) => {
        failure = error instanceof Error ? error : new Error(String(error));
        child.kill("SIGKILL");
    });
    try {
        options.signal?.throwIfAborted();
        watch.readerWaits(true);
        for await (const chunk of stdout as AsyncIterable<Buffer>) {
            watch.readerWaits(false);
            yield chunk;
            watch.readerWaits(true);
        }
        await closed;
        options.signal?.throwIfAborted();
        if (watch.stalled) throw failed(program, `it neither took input nor gave output for ${options.stallSeconds} s`);
        if (failure !== undefined) throw isProgramMissing(failure) ? failed(program, failure.message) : failure;
        options.judge({
            exitCode: child.exitCode,
            endedBy: child.signalCode,
            stderr: redact(errorText()),
            status: statusText(),
        });
    } finally {
        watch.stop();
        options.signal?.removeEventListener("abort", abort);
        if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
        stdout.destroy();
        await closed;
    }
}

/** Kills a program that owes progress for too long. */
class StallWatch {
    public stalled = false;
    private waiting = false;
    private owes = false;
    private since = performance.now();
    private readonly timer: NodeJS.Timeout;

    constructor(seconds: number, onStall: () => void) {
        this.timer = setInterval(
            () => {
                if (!this.waiting || !this.owes || performance.now() - this.since < seconds * 1000) return;
                this.stalled = true;
                onStall();
            },
            Math.min(1000, seconds * 250),
        );
    }

    public readerWaits(waiting: boolean): void {
        this.waiting = waiting;
        this.since = performance.now();
    }

    public programOwes(owes: boolean): void {
        this.owes = owes;
        this.since = performance.now();
    }

    public stop(): void {
        clearInterval(this.timer);
    }
}

async function feed(input: Bytes, stdin: Writable, watch: StallWatch): Promise<void> {
    for await (const chunk of input) {
        if (stdin.destroyed) return;
        if (stdin.write(chunk)) continue;
        watch.programOwes(true);
        await drained(stdin);
        watch.programOwes(false);
    }
    stdin.end();
    watch.programOwes(true);
}

function channels(child: ChildProcess): [Writable, Readable, Readable, Writable, Readable] {
    const [stdin, stdout, stderr, secret, status] = child.stdio;
    if (
        !(stdin instanceof Writable) ||
        !(stdout instanceof Readable) ||
        !(stderr instanceof Readable) ||
        !(secret instanceof Writable) ||
        !(status instanceof Readable)
    )
        throw new Error("the program was started without its pipes");
    return [stdin, stdout, stderr, secret, status];
}

function kept(stream: Readable): () => string {
    let text = "";
    stream.setEncoding("utf8");
    stream.on("data", (chunk: string) => (text = (text + chunk).slice(-largestMessages)));
    return () => text;
}

/** A program that ends before it has read everything closes the pipe; its exit code says whether that was right. */
function ignoreClosedPipe(): void {
    // Nothing to do: see above.
}

function isProgramMissing(error: Error): boolean {
    return "syscall" in error && String(error.syscall).startsWith("spawn");
}

function failed(program: string, found: string): MigrationError {
    return new MigrationError("SM-E1101", { where: program, found, expected: "the program to go on to its end" });
}
