/** A homeserver that is a plain process with a pid file: nothing but itself, or a watchdog nobody told us of, keeps it running. */
import type { ProcessService } from "../../contract/index.ts";
import type { Machine } from "../machines/machine.ts";
import {
    allProcesses,
    isAlive,
    listeningPorts,
    portsInUse,
    readEnvironment,
    waitForEnd,
    type ProcessFacts,
} from "../machines/procfs.ts";
import { MigrationError } from "../run/errors.ts";
import { until } from "../run/until.ts";
import { describeKept, keeperOf } from "./keeper.ts";
import { namedProcess } from "./pidFile.ts";
import { keptVariables, requireRestartable, startAgain } from "./processStart.ts";
import type {
    RecordedProcess,
    ServiceControl,
    ServiceStatus,
    StoppedProcess,
    StoppedService,
    WatchedService,
} from "./serviceControl.ts";
import { describe, looksLikeSynapse, relatives, sharingConfiguration } from "./synapseProcess.ts";

export interface ProcessServiceOptions {
    readonly signal?: AbortSignal | undefined;
    /** How long Synapse may take to end; it finishes requests and writes what it holds. */
    readonly stopSeconds?: number;
    /** How long after its end a watchdog is waited for. */
    readonly settleSeconds?: number;
    /** How long it may take from its start until its pid file names it; it may have to prepare its database first. */
    readonly startSeconds?: number;
    /** A homeserver that stays in the foreground longer than this was not told to become a daemon; 5 when absent. */
    readonly foregroundSeconds?: number;
}

export function processService(
    service: ProcessService,
    machine: Machine,
    options: ProcessServiceOptions = {},
): ServiceControl {
    const { pidFile } = service;
    const name = machine.isHere ? pidFile : `${pidFile} on ${machine.name}`;
    const place: Place = { machine, pidFile, name };

    let keeper: string | undefined;

    const status = async (): Promise<ServiceStatus> => {
        const main = await requireHomeserver(place);
        if (main === undefined) {
            const evidence = [`${name} names no running process`];
            return { running: false, record: { kind: "process" }, evidence, processes: [] };
        }
        const others = await relatives(machine, main);
        const processes = [main, ...others.below, ...others.beside];
        return {
            running: true,
            record: { kind: "process", process: await record(machine, main) },
            evidence: processes.map(describe),
            processes,
        };
    };

    const refuseUnstoppable = async (): Promise<void> => {
        const main = await findHomeserver(place);
        if (main !== undefined) await requireRestartable(machine, await record(machine, main), service);
    };

    const stop = async (): Promise<StoppedProcess> => {
        const main = await requireHomeserver(place);
        if (main === undefined) return { kind: "process" };
        const recorded = await record(machine, main);
        await requireRestartable(machine, recorded, service);
        const { below, beside } = await relatives(machine, main);
        if (beside.length > 0) throw stillRunning(name, beside.map(describe), "nothing was changed");
        keeper = await keeperOf(machine, main);
        // Looked at once more, as time has passed since its number was read.
        await machine.signal(main, "SIGTERM");
        const seconds = options.stopSeconds ?? stopSecondsByDefault;
        const left = await waitForEnd(machine, [main, ...below], seconds, options.signal);
        if (left.length > 0) {
            throw new MigrationError("SM-E0711", {
                where: name,
                found: `${left.map(describe).join("\n")}\nstill running ${seconds} s after SIGTERM`,
                changed: "it was sent SIGTERM",
            });
        }
        await watch(place, recorded, { seconds: options.settleSeconds ?? 1, keeper, signal: options.signal });
        return { kind: "process", process: recorded };
    };

    const staysDown = async (stopped: StoppedService, signal?: AbortSignal): Promise<WatchedService> => {
        const ended = processIn(stopped);
        const seconds = ended === undefined ? 0 : keeper === undefined ? watchedSeconds : keptSeconds;
        if (ended !== undefined) await watch(place, ended, { seconds, keeper, signal });
        return { seconds, evidence: "the process has ended" };
    };

    const hasEnded = async (before: StoppedService, isEnding: boolean): Promise<boolean> => {
        const ran = processIn(before);
        if (ran === undefined) return false;
        if (!isEnding) return !(await isAlive(machine, ran));
        const left = await waitForEnd(machine, [ran], options.stopSeconds ?? stopSecondsByDefault);
        if (left.length === 0) return true;
        throw new Error(`process ${ran.pid} was told to stop and has not ended`);
    };

    const start = async (stopped: StoppedService, { comesBack = false } = {}): Promise<void> => {
        const recorded = processIn(stopped);
        if (recorded === undefined || (await findHomeserver(place)) !== undefined) return;
        const isBack = async (): Promise<true | undefined> =>
            sharingConfiguration(recorded, await allProcesses(machine)).length > 0 || undefined;
        if (comesBack && (await until(isBack, { seconds: keptSeconds, signal: options.signal })) === true) return;
        await startAgain(machine, recorded, service, {
            isUp: async () => (await findHomeserver(place)) !== undefined,
            seconds: options.startSeconds ?? 120,
            foregroundSeconds: options.foregroundSeconds ?? foregroundSecondsByDefault,
            signal: options.signal,
        });
    };

    return { name, status, refuseUnstoppable, stop, staysDown, hasEnded, start };
}

const stopSecondsByDefault = 120;
/** systemd's RestartSec is 3 in the unit of Debian's package, and rarely longer than 10; supervisors of containers begin within a second. */
const watchedSeconds = 4;
const keptSeconds = 12;
const pollMilliseconds = 100;
const foregroundSecondsByDefault = 5;

/** Where the service is, and what messages call it. */
interface Place {
    readonly machine: Machine;
    readonly pidFile: string;
    readonly name: string;
}

function processIn(stopped: StoppedService): RecordedProcess | undefined {
    if (stopped.kind !== "process") throw new Error(`a service of kind ${stopped.kind} is no process`);
    return stopped.process;
}

/** The live homeserver that the pid file names; undefined when there is none. */
async function findHomeserver({ machine, pidFile }: Place): Promise<ProcessFacts | undefined> {
    const found = await namedProcess(machine, pidFile);
    return found !== undefined && looksLikeSynapse(found.argv) ? found : undefined;
}

/** Like {@link findHomeserver}, and refuses a pid file that names something else. */
async function requireHomeserver({ machine, pidFile, name }: Place): Promise<ProcessFacts | undefined> {
    const found = await namedProcess(machine, pidFile);
    if (found === undefined || looksLikeSynapse(found.argv)) return found;
    throw new MigrationError("SM-E0710", {
        where: name,
        found: describe(found),
        expected: "a command line with synapse.app.homeserver",
    });
}

async function record(machine: Machine, main: ProcessFacts): Promise<RecordedProcess> {
    const [{ values, otherNames }, ports] = await Promise.all([
        readEnvironment(machine, main.pid, keptVariables),
        listeningPorts(machine, main.pid),
    ]);
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
        ports,
    };
}

interface Watched {
    readonly seconds: number;
    /** Who was seen to keep it before it was stopped: what has only just begun does not tell. */
    readonly keeper: string | undefined;
    readonly signal: AbortSignal | undefined;
}

/** Looks for a while whether something starts the service again: by its pid file, its command line, or its ports. */
async function watch(place: Place, ended: RecordedProcess, { seconds, keeper, signal }: Watched): Promise<void> {
    const { machine, name } = place;
    const kept = (found: ProcessFacts): Promise<string> => describeKept(machine, found);
    const back = await until(
        async () => {
            const [named, all, ports] = await Promise.all([
                findHomeserver(place),
                allProcesses(machine),
                portsInUse(machine),
            ]);
            const evidence = [
                ...(named === undefined ? [] : [`${name} names ${await kept(named)}`]),
                ...(await Promise.all(sharingConfiguration(ended, all).map(kept))),
                ...ended.ports
                    .filter((port) => ports.has(port))
                    .map((port) => `something listens on port ${port} again`),
            ];
            return evidence.length > 0 ? evidence : undefined;
        },
        { seconds, everyMilliseconds: pollMilliseconds, signal },
    );
    const before = keeper === undefined ? [] : [`the one that was stopped was kept by ${keeper}`];
    if (back !== undefined) throw stillRunning(name, [...back, ...before], "the process that ran before was stopped");
}

function stillRunning(where: string, evidence: readonly string[], changed: string): MigrationError {
    return new MigrationError("SM-E0702", {
        where,
        found: evidence.join("\n"),
        expected: "no process of the homeserver but the one of the pid file, and none after it",
        changed,
    });
}
