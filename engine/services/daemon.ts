/** Servers of ours that outlive the step that starts them: started once, found again, stopped. */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { MigrationError } from "../run/errors.ts";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { readTrusted } from "../run/trustedFile.ts";
import { until } from "../run/until.ts";
import { lastLines } from "./logEnd.ts";
import {
    allProcesses,
    isAlive,
    readProcess,
    signalProcess,
    waitForEnd,
    type ProcessFacts,
} from "../machines/procfs.ts";
import { thisMachine } from "../machines/local/localMachine.ts";
import type { ProcessIdentity } from "../machines/machine.ts";
import { baseEnvironment } from "../machines/program.ts";

export interface DetachedProgram {
    /** Absolute path, or a name looked up on the PATH of the environment. */
    readonly program: string;
    readonly args: readonly string[];
    readonly workingDirectory: string;
    /** All of its environment. */
    readonly environment: Readonly<Record<string, string>>;
    /** Run as this user, with exactly these further groups, instead of as ourselves. */
    readonly user?: { readonly uid: number; readonly gid: number; readonly groups?: readonly number[] };
    readonly umask?: number;
    /** Gets what it writes to standard output and error, appended. Made with mode 0600. */
    readonly logFile: string;
}

export interface DetachedProcess extends ProcessIdentity {
    /** Its exit code once it has ended, 128 when a signal ended it; undefined while it runs. */
    readonly exitCode: () => number | undefined;
}

/**
 * Starts a program in a session of its own, so that neither a signal to our process group nor our end reaches it.
 *
 * @throws MigrationError SM-E0712 when it cannot be started at all, SM-E1207 when its log is somebody else's file
 */
export async function startDetached(program: DetachedProgram): Promise<DetachedProcess> {
    const { user } = program;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND | constants.O_NOFOLLOW;
    const log = await open(program.logFile, flags, 0o600);
    try {
        await refuseForeignLog(log, program);
        // Without a list of groups libuv empties it, which is right for our own servers; setpriv (util-linux) keeps those of others.
        const [file, args] =
            user?.groups === undefined || user.groups.length === 0
                ? [program.program, program.args]
                : [
                      "setpriv",
                      [
                          `--reuid=${user.uid}`,
                          `--regid=${user.gid}`,
                          `--groups=${user.groups.join(",")}`,
                          "--",
                          program.program,
                          ...program.args,
                      ],
                  ];
        const ids = user === undefined || file === "setpriv" ? {} : { uid: user.uid, gid: user.gid };
        // Nothing else can run between these three calls, so no other file of ours is made with the borrowed mask.
        const ownMask = program.umask === undefined ? undefined : process.umask(program.umask);
        const child = spawn(file, [...args], {
            cwd: program.workingDirectory,
            env: { ...program.environment },
            detached: true,
            stdio: ["ignore", log.fd, log.fd],
            ...ids,
        });
        if (ownMask !== undefined) process.umask(ownMask);
        await new Promise<void>((resolve, reject) => {
            child.once("spawn", resolve);
            child.once("error", reject);
        });
        child.unref();
        const started = child.pid === undefined ? undefined : await readProcess(thisMachine, child.pid);
        const exitCode = (): number | undefined => child.exitCode ?? (child.signalCode === null ? undefined : 128);
        // A program that has ended at once is no process any more. That is no error here: waiting for its answer reports it, with its log.
        return { pid: child.pid ?? 0, startTicks: started?.startTicks ?? "0", exitCode };
    } catch (error) {
        if (error instanceof MigrationError) throw error;
        const found = `${program.program}: ${error instanceof Error ? error.message : String(error)}`;
        throw new MigrationError("SM-E0712", { where: program.workingDirectory, found, cause: error });
    } finally {
        await log.close();
    }
}

export interface DaemonOptions {
    readonly program: string;
    readonly args: readonly string[];
    readonly workingDirectory: string;
    readonly user?: { readonly uid: number; readonly gid: number };
    /** Added to {@link baseEnvironment}. */
    readonly environment?: Readonly<Record<string, string>>;
    /** Ours, not the program's: holds its process number and its start in clock ticks since boot. */
    readonly pidFile: string;
    readonly logFile: string;
}

/** Where the server's user may make names, a log's name can be one more name of a file of root's. */
async function refuseForeignLog(log: FileHandle, { logFile, user }: DetachedProgram): Promise<void> {
    const { uid, nlink } = await log.stat();
    if (nlink === 1 && [process.geteuid?.(), user?.uid].includes(uid)) return;
    const found = nlink === 1 ? `it belongs to user id ${uid}` : "it has a second name";
    throw new MigrationError("SM-E1207", { where: logFile, found, expected: "a log of our own, or none" });
}

/**
 * Tells a server from all other processes: by whom it runs as, and by something in its command line that is its alone, such as the path of
 * its configuration. A process that is not recognised is never signalled, whatever a pid file says.
 */
export type Recognise = (process: ProcessFacts) => boolean;

/**
 * Starts a server, or finds the one that runs already: see {@link runningDaemon}.
 *
 * @param recognise  by its exact command line when absent
 */
export async function startDaemon(
    options: DaemonOptions,
    recognise: Recognise = exactly(options),
): Promise<ProcessIdentity> {
    const running = await runningDaemon(options.pidFile, recognise);
    const daemon =
        running ??
        (await startDetached({
            program: options.program,
            args: options.args,
            workingDirectory: options.workingDirectory,
            environment: baseEnvironment(options.environment),
            ...(options.user === undefined ? {} : { user: options.user }),
            logFile: options.logFile,
        }));
    await writePrivateFile(options.pidFile, `${daemon.pid} ${daemon.startTicks}\n`);
    return daemon;
}

/**
 * The server that a pid file of ours names, when it still runs; else the one that is recognised: we may have been killed between its start and
 * the pid file, or somebody has put another file in its place.
 */
export async function runningDaemon(pidFile: string, recognise: Recognise): Promise<ProcessIdentity | undefined> {
    const text = await readTrusted(pidFile).catch((error: unknown) => {
        if (error instanceof MigrationError) return undefined;
        throw error;
    });
    const [, pid, startTicks] = /^(\d+) (\d+)\n$/.exec(text ?? "") ?? [];
    const named = pid === undefined ? undefined : await readProcess(thisMachine, Number(pid));
    if (named?.startTicks === startTicks && named !== undefined && recognise(named)) return named;
    return (await allProcesses(thisMachine)).find(recognise);
}

/** Recognises what these options start. */
export function exactly({ program, args, user }: Pick<DaemonOptions, "program" | "args" | "user">): Recognise {
    const wanted = [program, ...args];
    return ({ argv, uid }) =>
        uid === (user?.uid ?? process.geteuid?.()) &&
        argv.length === wanted.length &&
        argv.every((word, index) => word === wanted[index]);
}

/** After SIGKILL only the kernel has still to do something. */
const killSeconds = 10;

/**
 * Ends a server with SIGTERM and removes its pid file. Does nothing when it does not run.
 *
 * @returns whether it ran
 * @throws MigrationError SM-E0711 when it does not end in time and may not be killed
 */
export async function stopDaemon(
    pidFile: string,
    recognise: Recognise,
    options: { readonly graceSeconds: number; readonly kill?: boolean },
): Promise<boolean> {
    const daemon = await runningDaemon(pidFile, recognise);
    if (daemon !== undefined) {
        signalProcess(daemon, "SIGTERM");
        let left = await waitForEnd(thisMachine, [daemon], options.graceSeconds);
        if (left.length > 0 && options.kill === true) {
            signalProcess(daemon, "SIGKILL");
            left = await waitForEnd(thisMachine, [daemon], killSeconds);
        }
        if (left.length > 0) {
            throw new MigrationError("SM-E0711", {
                where: `process ${daemon.pid} of ${pidFile}`,
                found: `it still runs ${options.graceSeconds} s after it was asked to end`,
                changed: "it was sent SIGTERM",
            });
        }
    }
    await removePrivateFile(pidFile);
    return daemon !== undefined;
}

/**
 * Asks a server until it answers as it should. Gives up as soon as its process has ended.
 *
 * @throws MigrationError SM-E0712 with the last lines of its log
 */
export async function waitUntilReady(options: {
    readonly daemon: ProcessIdentity;
    readonly ready: () => Promise<boolean>;
    readonly timeoutSeconds: number;
    readonly logFile: string;
    /** Where it goes on writing once it has opened a log of its own. */
    readonly ownLog?: string;
    readonly signal?: AbortSignal;
}): Promise<void> {
    const { daemon, ready, timeoutSeconds, signal } = options;
    const failed = async (found: string): Promise<MigrationError> =>
        didNotComeUp(
            found + (options.ownLog === undefined ? "" : await lastLines(options.ownLog)),
            options.logFile,
            timeoutSeconds,
        );
    await until(
        async () => {
            if (await ready()) return true;
            if (await isAlive(thisMachine, daemon)) return undefined;
            throw await failed(`process ${daemon.pid} has ended`);
        },
        { seconds: timeoutSeconds, signal },
        () => failed(`process ${daemon.pid} runs and does not answer`),
    );
}

/** The error for a server that was started in vain, with the last lines of its log. */
export async function didNotComeUp(found: string, logFile: string, timeoutSeconds: number): Promise<MigrationError> {
    return new MigrationError("SM-E0712", {
        where: logFile,
        found: `${found}${await lastLines(logFile)}`,
        expected: `an answer within ${timeoutSeconds} s`,
    });
}
