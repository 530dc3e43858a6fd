/** A homeserver that is a plain process with a pid file: nothing but itself, or a watchdog nobody told us of, keeps it running. */
import { constants } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Service } from "../../contract/index.ts";
import { MigrationError } from "../run/errors.ts";
import { exists } from "../run/exists.ts";
import { until } from "../run/until.ts";
import { describeKept, keeperOf } from "./keeper.ts";
import { didNotComeUp, startDetached, type DetachedProgram } from "./daemon.ts";
import {
    allProcesses,
    isAlive,
    listeningPorts,
    portsInUse,
    readEnvironment,
    signalProcess,
    waitForEnd,
    type ProcessFacts,
} from "../machines/procfs.ts";
import { baseEnvironment } from "../machines/program.ts";
import { namedProcess, writePidFile } from "./pidFile.ts";
import { configFiles, describe, looksLikeSynapse, relatives, sharingConfiguration } from "./synapseProcess.ts";
import type { RecordedProcess, ServiceControl, ServiceStatus, StoppedService } from "./serviceControl.ts";

/**
 * Variables whose values are kept, because a Python program is found by them or works differently without them. Of all others only the
 * names are kept: environments are where people put secrets, and this record is written to a file and shown.
 */
const keptVariables = new Set(
    "PATH HOME LANG LC_ALL TZ VIRTUAL_ENV PYTHONPATH LD_PRELOAD SYNAPSE_CACHE_FACTOR SYNAPSE_CONFIG_PATH".split(" "),
);

export interface ProcessServiceOptions {
    readonly signal?: AbortSignal;
    /** How long Synapse may take to end; it finishes requests and writes what it holds. */
    readonly stopSeconds?: number;
    /** How long after its end a watchdog is waited for. */
    readonly settleSeconds?: number;
    /** How long it may take from its start until its pid file names it; it may have to prepare its database first. */
    readonly startSeconds?: number;
    /** A homeserver that stays in the foreground longer than this was not told to become a daemon; 5 when absent. */
    readonly foregroundSeconds?: number;
}

export function processService(service: Service, options: ProcessServiceOptions = {}): ServiceControl {
    const { pidFile } = service;

    let keeper: string | undefined;

    const status = async (): Promise<ServiceStatus> => {
        const main = await requireHomeserver(pidFile);
        if (main === undefined) {
            return { running: false, record: { kind: "process" }, evidence: [`${pidFile} names no running process`] };
        }
        const others = await relatives(main);
        return {
            running: true,
            record: { kind: "process", process: await record(main) },
            evidence: [main, ...others.below, ...others.beside].map(describe),
        };
    };

    const stop = async (): Promise<StoppedService> => {
        const main = await requireHomeserver(pidFile);
        if (main === undefined) return { kind: "process" };
        const recorded = await record(main);
        if (service.command === undefined) await requireRestartable(recorded, pidFile);
        const { below, beside } = await relatives(main);
        if (beside.length > 0) throw stillRunning(pidFile, beside.map(describe), "nothing was changed");
        keeper = await keeperOf(main);
        // Looked at once more, as time has passed since its number was read.
        if (await isAlive(main)) signalProcess(main, "SIGTERM");
        const left = await waitForEnd([main, ...below], options.stopSeconds ?? stopSecondsByDefault, options.signal);
        if (left.length > 0) {
            throw new MigrationError("SM-E0711", {
                where: pidFile,
                found: `${left.map(describe).join("\n")}\nstill running ${options.stopSeconds ?? stopSecondsByDefault} s after SIGTERM`,
                changed: "it was sent SIGTERM",
            });
        }
        await watch(pidFile, recorded, { seconds: options.settleSeconds ?? 1, keeper, signal: options.signal });
        return { kind: "process", process: recorded };
    };

    const staysDown = async ({ process: ended }: StoppedService, signal?: AbortSignal): Promise<number> => {
        if (ended === undefined) return 0;
        const seconds = keeper === undefined ? watchedSeconds : keptSeconds;
        await watch(pidFile, ended, { seconds, keeper, signal });
        return seconds;
    };

    const start = async ({ process: recorded }: StoppedService, { comesBack = false } = {}): Promise<void> => {
        if (recorded === undefined || (await findHomeserver(pidFile)) !== undefined) return;
        const isBack = async (): Promise<true | undefined> =>
            sharingConfiguration(recorded, await allProcesses()).length > 0 || undefined;
        if (comesBack && (await until(isBack, { seconds: keptSeconds, signal: options.signal })) === true) return;
        const logFile = join(dirname(pidFile), `${basename(pidFile, ".pid")}-restart.log`);
        const child = await startDetached({ ...asItRan(recorded, service.command), logFile });
        const seconds = options.startSeconds ?? 120;
        const started = performance.now();
        const secondsSince = (): number => (performance.now() - started) / 1000;
        let named = service.command !== undefined;
        await until(
            async () => {
                const running = await findHomeserver(pidFile);
                if (running !== undefined) return running;
                const code = child.exitCode();
                if (code !== undefined && code !== 0)
                    throw await didNotComeUp(`it ended with exit code ${code}`, logFile, seconds);
                // Synapse writes its pid file only when it makes itself a daemon; else whoever started it did, and that is us now.
                if (
                    !named &&
                    code === undefined &&
                    secondsSince() > (options.foregroundSeconds ?? foregroundSecondsByDefault)
                ) {
                    await writePidFile(pidFile, child.pid, recorded);
                    named = true;
                }
                return undefined;
            },
            { seconds, everyMilliseconds: pollMilliseconds, signal: options.signal },
            () => didNotComeUp(`${pidFile} names no running homeserver`, logFile, seconds),
        );
    };

    return { status, stop, staysDown, start };
}

const stopSecondsByDefault = 120;
/** systemd's RestartSec is 3 in the unit of Debian's package, and rarely longer than 10; supervisors of containers begin within a second. */
const watchedSeconds = 4;
const keptSeconds = 12;
const pollMilliseconds = 50;
const foregroundSecondsByDefault = 5;

/** How it is started again: as the administrator says, by ourselves; or as it ran, as whom it ran. */
function asItRan(recorded: RecordedProcess, command: readonly string[] | undefined): Omit<DetachedProgram, "logFile"> {
    const [program = "", ...args] = command ?? recorded.argv;
    const { workingDirectory, uid, gid, groups, umask } = recorded;
    // A given command may well change the user itself, as init scripts do.
    if (command !== undefined) return { program, args, workingDirectory, environment: baseEnvironment() };
    const user = process.geteuid?.() === 0 ? { user: { uid, gid, groups } } : {};
    return { program, args, workingDirectory, environment: recorded.environment, umask, ...user };
}

/** The live homeserver that the pid file names; undefined when there is none. */
async function findHomeserver(pidFile: string): Promise<ProcessFacts | undefined> {
    const found = await namedProcess(pidFile);
    return found !== undefined && looksLikeSynapse(found.argv) ? found : undefined;
}

/** Like {@link findHomeserver}, and refuses a pid file that names something else. */
async function requireHomeserver(pidFile: string): Promise<ProcessFacts | undefined> {
    const found = await namedProcess(pidFile);
    if (found === undefined || looksLikeSynapse(found.argv)) return found;
    throw new MigrationError("SM-E0710", {
        where: pidFile,
        found: describe(found),
        expected: "a command line with synapse.app.homeserver",
    });
}

async function record(main: ProcessFacts): Promise<RecordedProcess> {
    const { values, otherNames } = await readEnvironment(main.pid, keptVariables);
    const { pid, startTicks, uid, gid, groups, umask, argv, workingDirectory } = main;
    return {
        pid,
        startTicks,
        argv: [...argv],
        workingDirectory: workingDirectory ?? "/",
        uid,
        gid,
        groups: [...groups],
        umask,
        environment: values,
        otherVariables: otherNames,
        ports: await listeningPorts(main.pid),
    };
}

/** Refuses to stop what could not be started again: a daemon that was started with relative paths has lost where they began. */
async function requireRestartable(recorded: RecordedProcess, pidFile: string): Promise<void> {
    const problems: string[] = [];
    const [program = ""] = recorded.argv;
    const places = program.includes("/")
        ? [resolve(recorded.workingDirectory, program)]
        : (recorded.environment["PATH"] ?? "").split(":").map((directory) => join(directory, program));
    const runnable = await Promise.all(places.map((path) => exists(path, constants.X_OK)));
    if (!runnable.includes(true)) problems.push(`its program ${program} is not found`);
    for (const file of configFiles(recorded)) {
        if (!(await exists(file))) problems.push(`its configuration ${file} is not found`);
    }
    if (process.geteuid?.() !== 0 && process.geteuid?.() !== recorded.uid) {
        problems.push(`it runs as user ${recorded.uid}, and we may not`);
    }
    if (problems.length === 0) return;
    throw new MigrationError("SM-E0712", {
        where: `process ${recorded.pid} of ${pidFile}, started in ${recorded.workingDirectory}`,
        found: `it could not be started again as it runs: ${problems.join("; ")}`,
        fix: "say in `source.service.command` how it is started, with absolute paths",
    });
}

interface Watched {
    readonly seconds: number;
    /** Who was seen to keep it before it was stopped: what has only just begun does not tell. */
    readonly keeper: string | undefined;
    readonly signal: AbortSignal | undefined;
}

/** Looks for a while whether something starts the service again: by its pid file, its command line, or its ports. */
async function watch(pidFile: string, ended: RecordedProcess, { seconds, keeper, signal }: Watched): Promise<void> {
    const back = await until(
        async () => {
            const [named, all, ports] = await Promise.all([findHomeserver(pidFile), allProcesses(), portsInUse()]);
            const evidence = [
                ...(named === undefined ? [] : [`${pidFile} names ${await describeKept(named)}`]),
                ...(await Promise.all(sharingConfiguration(ended, all).map(describeKept))),
                ...ended.ports
                    .filter((port) => ports.has(port))
                    .map((port) => `something listens on port ${port} again`),
            ];
            return evidence.length > 0 ? evidence : undefined;
        },
        { seconds, everyMilliseconds: pollMilliseconds, signal },
    );
    const before = keeper === undefined ? [] : [`the one that was stopped was kept by ${keeper}`];
    if (back !== undefined)
        throw stillRunning(pidFile, [...back, ...before], "the process that ran before was stopped");
}

function stillRunning(pidFile: string, evidence: readonly string[], changed: string): MigrationError {
    return new MigrationError("SM-E0702", {
        where: pidFile,
        found: evidence.join("\n"),
        expected: "no process of the homeserver but the one of the pid file, and none after it",
        changed,
    });
}
