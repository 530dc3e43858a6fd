/** Starts a homeserver that was a plain process as it ran: on this machine by ourselves, on another one by what makes itself a daemon. */
import { basename, dirname, join, resolve } from "node:path";
import type { ProcessService } from "../../contract/index.ts";
import type { Machine } from "../machines/machine.ts";
import { orElse } from "../machines/procText.ts";
import { baseEnvironment } from "../machines/program.ts";
import { MigrationError } from "../run/errors.ts";
import { until } from "../run/until.ts";
import { didNotComeUp, startDetached, type DetachedProgram } from "./daemon.ts";
import { writePidFile } from "./pidFile.ts";
import type { RecordedProcess } from "./serviceControl.ts";
import { configFiles } from "./synapseProcess.ts";

/**
 * Variables whose values are kept, because a Python program is found by them or works differently without them. Of all others only the
 * names are kept: environments are where people put secrets, and this record is written to a file and shown.
 */
export const keptVariables: ReadonlySet<string> = new Set(
    "PATH HOME LANG LC_ALL TZ VIRTUAL_ENV PYTHONPATH LD_PRELOAD SYNAPSE_CACHE_FACTOR SYNAPSE_CONFIG_PATH".split(" "),
);

const pollMilliseconds = 50;

export interface Starting {
    /** Whether the pid file names a running homeserver. */
    readonly isUp: () => Promise<boolean>;
    readonly seconds: number;
    /** A homeserver that stays in the foreground longer than this was not told to become a daemon. */
    readonly foregroundSeconds: number;
    readonly signal: AbortSignal | undefined;
}

/** @throws MigrationError SM-E0712 when it does not come up in time */
export async function startAgain(
    machine: Machine,
    recorded: RecordedProcess,
    service: ProcessService,
    starting: Starting,
): Promise<void> {
    if (!machine.isHere) return startThere(machine, recorded, service, starting);
    const { isUp, seconds, signal } = starting;
    const { pidFile, command } = service;
    const logFile = join(dirname(pidFile), `${basename(pidFile, ".pid")}-restart.log`);
    const child = await startDetached({ ...asItRan(recorded, command), logFile });
    const started = performance.now();
    const secondsSince = (): number => (performance.now() - started) / 1000;
    let named = command !== undefined;
    await until(
        async () => {
            if (await isUp()) return true;
            const code = child.exitCode();
            if (code !== undefined && code !== 0)
                throw await didNotComeUp(`it ended with exit code ${code}`, logFile, seconds);
            // Synapse writes its pid file only when it makes itself a daemon; else whoever started it did, and that is us now.
            if (!named && code === undefined && secondsSince() > starting.foregroundSeconds) {
                await writePidFile(pidFile, child.pid, recorded);
                named = true;
            }
            return undefined;
        },
        { seconds, everyMilliseconds: pollMilliseconds, signal },
        () => didNotComeUp(`${pidFile} names no running homeserver`, logFile, seconds),
    );
}

/** How it is started again: as the administrator says, by ourselves; or as it ran, as whom it ran. */
function asItRan(recorded: RecordedProcess, command: readonly string[] | undefined): Omit<DetachedProgram, "logFile"> {
    const [program = "", ...args] = command ?? recorded.argv;
    const { workingDirectory, uid, gid, groups, umask } = recorded;
    // A given command may well change the user itself, as init scripts do.
    if (command !== undefined) return { program, args, workingDirectory, environment: baseEnvironment() };
    const user = process.geteuid?.() === 0 ? { user: { uid, gid, groups } } : {};
    return { program, args, workingDirectory, environment: recorded.environment, umask, ...user };
}

/** The program is run to its end, which comes as soon as the homeserver is a daemon: see {@link requireRestartable}. */
async function startThere(
    machine: Machine,
    recorded: RecordedProcess,
    { command, pidFile }: ProcessService,
    { isUp, seconds, signal }: Starting,
): Promise<void> {
    const failed = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0712", {
            where: `${pidFile} on ${machine.name}`,
            found,
            expected: `an answer within ${seconds} s`,
            cause,
        });
    const { workingDirectory, uid, gid, groups } = recorded;
    const asUser = [
        `--reuid=${uid}`,
        `--regid=${gid}`,
        groups.length > 0 ? `--groups=${groups.join(",")}` : "--clear-groups",
    ];
    const [program = "", ...args] =
        command ?? ((await machine.userId()) === 0 ? ["setpriv", ...asUser, "--", ...recorded.argv] : recorded.argv);
    try {
        await machine.run(program, args, {
            workingDirectory,
            ...(command === undefined ? { environment: recorded.environment } : {}),
            timeoutSeconds: seconds,
            ...(signal === undefined ? {} : { signal }),
        });
    } catch (error) {
        if (!(error instanceof MigrationError) || error.code !== "SM-E1101") throw error;
        throw failed(error.detail.found, error);
    }
    await until(
        async () => (await isUp()) || undefined,
        { seconds, everyMilliseconds: pollMilliseconds, signal },
        () => failed("the pid file names no running homeserver"),
    );
}

/** Refuses to stop what could not be started again: a daemon that was started with relative paths has lost where they began. */
export async function requireRestartable(
    machine: Machine,
    recorded: RecordedProcess,
    { command, pidFile }: ProcessService,
): Promise<void> {
    if (command !== undefined) return;
    const problems: string[] = [];
    const [program = ""] = recorded.argv;
    const places = program.includes("/")
        ? [resolve(recorded.workingDirectory, program)]
        : (recorded.environment["PATH"] ?? "").split(":").map((directory) => join(directory, program));
    const runnable = await Promise.all(places.map((path) => isRunnable(machine, path)));
    if (!runnable.includes(true)) problems.push(`its program ${program} is not found`);
    for (const file of configFiles(recorded)) {
        if (!(await isThere(machine, file))) problems.push(`its configuration ${file} is not found`);
    }
    const ourselves = await machine.userId();
    if (ourselves !== 0 && ourselves !== recorded.uid) {
        problems.push(`it runs as user ${recorded.uid}, and we may not`);
    }
    // What stays in the foreground there would end with the connection.
    if (!machine.isHere && !recorded.argv.some((word) => word === "--daemonize" || word === "-D"))
        problems.push("it was not told to become a daemon (`--daemonize`), and something else has started it");
    if (problems.length === 0) return;
    throw new MigrationError("SM-E0712", {
        where: `process ${recorded.pid} of ${pidFile}, started in ${recorded.workingDirectory}${machine.isHere ? "" : ` on ${machine.name}`}`,
        found: `it could not be started again as it runs: ${problems.join("; ")}`,
        fix: "say in `source.service.command` how it is started, with absolute paths",
    });
}

/** Where we may not look, nothing is found. */
async function isThere({ files }: Machine, path: string): Promise<boolean> {
    return (await orElse(files.stat(path), undefined)) !== undefined;
}

async function isRunnable({ files }: Machine, path: string): Promise<boolean> {
    const facts = await orElse(files.stat(path), undefined);
    return facts?.kind === "file" && (facts.mode & 0o111) !== 0;
}
