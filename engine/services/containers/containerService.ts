/** A homeserver in containers, with its workers: stopped so that no reboot, no engine and no habit has it serve again, and started as it was. */
import type { ContainedService } from "../../../contract/index.ts";
import type { Machine } from "../../machines/machine.ts";
import { portsInUse, type ProcessFacts } from "../../machines/procfs.ts";
import { MigrationError } from "../../run/errors.ts";
import { until } from "../../run/until.ts";
import { describeKept } from "../keeper.ts";
import type {
    ServiceControl,
    ServiceStatus,
    StoppedContainers,
    StoppedService,
    WatchedService,
} from "../serviceControl.ts";
import { describe } from "../synapseProcess.ts";
import { describeUnit, isDown } from "../systemd/unitFacts.ts";
import { describeContainer, isStopped, type ContainerFacts } from "./containerFacts.ts";
import { tell } from "./engineCalls.ts";
import { hold, isHeld, withoutRestart, type Holding } from "./hold.ts";
import { engineOf, lookAtContainers, merged, nameOf, recordOf, type ContainersLook } from "./look.ts";
import { unholdable } from "./podmanContainers.ts";
import { startContainers } from "./startContainers.ts";
import { clusterOf, rulers, unitsThatRun } from "./starters.ts";

export interface ContainerServiceOptions {
    readonly signal?: AbortSignal | undefined;
    /** As the main container has it. */
    readonly configFiles?: readonly string[];
    /** How long each container may take to end before the engine kills it. */
    readonly stopSeconds?: number;
    readonly watchSeconds?: number;
    readonly startSeconds?: number;
}

/**
 * Longer than Docker's own 10. Synapse is the container's first process, and one that is still beginning does not hear SIGTERM: it is killed then,
 * which its database takes well.
 */
const stopSecondsByDefault = 60;
const watchSecondsByDefault = 4;
const startSecondsByDefault = 180;
/** Of the engine, beside the time that it gives the containers. */
const answerSeconds = 60;
const pollMilliseconds = 300;

export function containerService(
    service: ContainedService,
    machine: Machine,
    options: ContainerServiceOptions = {},
): ServiceControl {
    const { signal } = options;
    const engine = engineOf(service);
    const holding: Holding = { machine, engine, signal };
    const name = `${nameOf(service)}${machine.isHere ? "" : ` on ${machine.name}`}`;
    const stopSeconds = options.stopSeconds ?? stopSecondsByDefault;
    const look = (): Promise<ContainersLook> => lookAtContainers(machine, service, options.configFiles ?? []);
    const own = ({ main, workers }: ContainersLook): ContainerFacts[] => [main, ...workers];

    const status = async (): Promise<ServiceStatus> => {
        const seen = await look();
        return {
            running: seen.processes.length > 0 || own(seen).some((one) => !isStopped(one)),
            record: recordOf(seen),
            evidence: await evidenceOf(machine, seen),
            processes: seen.processes,
        };
    };

    const refuseUnstoppable = async (): Promise<void> => {
        await requireRoot(machine);
        await refuseUnstartable(holding, await look());
    };

    const stop = async (before?: StoppedService): Promise<StoppedContainers> => {
        await requireRoot(machine);
        const seen = await look();
        if (seen.outside.length > 0) throw stillRunning(name, await kept(machine, seen.outside), "nothing was changed");
        await refuseUnstartable(holding, seen);
        const record = merged(before === undefined ? undefined : containersIn(before), recordOf(seen));
        const there = own(seen).filter((one) => !isHeld(one) || !isStopped(one));
        await withoutRestart(
            holding,
            there.map(({ id }) => id),
        );
        // Workers first: without their main process they would only complain.
        const running = [...seen.workers, seen.main].filter((one) => !isStopped(one)).map(({ id }) => id);
        for (const id of running) {
            const seconds = stopSeconds + answerSeconds;
            const said = await tell(machine, engine, ["stop", "--time", String(stopSeconds), id], { seconds, signal });
            if (said !== undefined) throw doesNotEnd(name, said);
        }
        await hold(
            holding,
            own(seen).map(({ id }) => id),
        );
        const left = own(await look()).filter((one) => !isStopped(one));
        if (left.length > 0) throw doesNotEnd(name, left.map(describeContainer).join("\n"));
        return record;
    };

    const staysDown = async (stopped: StoppedService, aborted?: AbortSignal): Promise<WatchedService> => {
        const seconds = options.watchSeconds ?? watchSecondsByDefault;
        const record = containersIn(stopped);
        const back = await until(() => signsOf(machine, look, record), {
            seconds,
            everyMilliseconds: pollMilliseconds,
            signal: aborted ?? signal,
        });
        if (back !== undefined) throw stillRunning(name, back, "its containers were stopped, and are held");
        const names = record.containers.map((one) => one.name).join(", ");
        return {
            seconds,
            evidence: `containers ${names} are stopped with the restart policy \`no\`, and may have one task each: none can serve`,
        };
    };

    const hasEnded = async (before: StoppedService, isEnding: boolean): Promise<boolean> => {
        const ran = containersIn(before).containers.filter(({ active }) => active);
        const states = async (): Promise<ContainerFacts[]> => {
            const { containers } = await look();
            return containers.filter(({ id }) => ran.some((one) => one.id === id));
        };
        const someEnded = async (): Promise<boolean> => {
            const seen = await states();
            return seen.length < ran.length || seen.some(isStopped);
        };
        if (isEnding)
            await until(async () => (await someEnded()) || undefined, { seconds: stopSeconds + answerSeconds });
        return someEnded();
    };

    const start = async (stopped: StoppedService): Promise<void> => {
        await requireRoot(machine);
        // What is gone is told with all others started, and not by its absence alone.
        const seen = await look().catch((error: unknown) => {
            if (error instanceof MigrationError && error.code === "SM-E1470") return undefined;
            throw error;
        });
        const kept = containersIn(stopped);
        const record = seen === undefined ? kept : merged(kept, recordOf(seen));
        await startContainers(holding, record, { seconds: options.startSeconds ?? startSecondsByDefault, name });
    };

    return { name, status, refuseUnstoppable, stop, staysDown, hasEnded, start };
}

function containersIn(stopped: StoppedService): StoppedContainers {
    if (stopped.kind !== "containers") throw new Error(`a service of kind ${stopped.kind} has no containers`);
    return stopped;
}

/** Who may ask the engine is root in all but name; the configuration and the media of a container are not that user's to read. @throws MigrationError SM-E1478 */
async function requireRoot(machine: Machine): Promise<void> {
    const uid = await machine.userId();
    if (uid !== 0) throw new MigrationError("SM-E1478", { where: machine.name, found: `user id ${uid}` });
}

/** @throws MigrationError SM-E1479 for what a cluster keeps, or is gone once it is stopped; SM-E1476 for what a unit of systemd runs; SM-E1480 for Podman's */
async function refuseUnstartable({ machine, engine }: Holding, seen: ContainersLook): Promise<void> {
    const own = [seen.main, ...seen.workers];
    const cluster = own.flatMap((one) => clusterOf(one) ?? []);
    const changed = "nothing: it was not stopped";
    if (cluster.length > 0)
        throw new MigrationError("SM-E1479", { where: machine.name, found: cluster.join("\n"), changed });
    const units = await unitsThatRun(machine, own, seen.all);
    if (units.length > 0)
        throw new MigrationError("SM-E1476", {
            where: `${own.map(({ name }) => name).join(", ")} on ${machine.name}`,
            found: units.map(describeUnit).join("\n"),
            fix: `set source.service to {kind: systemd, units: [${units.map(({ name }) => name).join(", ")}]}`,
            changed,
        });
    const gone = own.filter(({ autoRemove }) => autoRemove);
    if (gone.length > 0)
        throw new MigrationError("SM-E1479", {
            where: machine.name,
            found: `made with \`--rm\`, and gone once it is stopped: ${gone.map(describeContainer).join("; ")}`,
            changed,
        });
    if (engine === "podman") throw unholdable(machine, own);
}

const kept = (machine: Machine, processes: readonly ProcessFacts[]): Promise<string[]> =>
    Promise.all(processes.map((one) => describeKept(machine, one)));

/** What there is of it again; undefined when there is nothing. One that is held, and ends by itself in seconds, is none of it. */
async function signsOf(
    machine: Machine,
    look: () => Promise<ContainersLook>,
    { ports }: StoppedContainers,
): Promise<string[] | undefined> {
    const [seen, used] = await Promise.all([look(), portsInUse(machine)]);
    const running = [seen.main, ...seen.workers].filter((one) => !isStopped(one) && !isHeld(one));
    const held = new Set([seen.main, ...seen.workers].filter(isHeld).map(({ id }) => id));
    const signs = [
        ...running.map(describeContainer),
        ...(await kept(machine, [
            ...seen.processes.filter(({ keeping }) => !held.has(keeping.container ?? "")),
            ...seen.outside,
        ])),
        ...(held.size > 0 && seen.processes.length > 0
            ? []
            : ports.filter((port) => used.has(port)).map((port) => `something listens on port ${port} again`)),
    ];
    return signs.length > 0 ? signs : undefined;
}

async function evidenceOf(machine: Machine, seen: ContainersLook): Promise<string[]> {
    const own = [seen.main, ...seen.workers];
    const units = await unitsThatRun(machine, own, seen.all);
    return [
        ...own.map((one) => `${describeContainer(one)}${isHeld(one) ? ", held" : ""}`),
        ...seen.processes.map(describe),
        ...seen.outside.map((one) => `outside of these containers: ${describe(one)}`),
        ...units.map(
            (unit) => `run by a unit of systemd${isDown(unit) ? "" : " that is active"}: ${describeUnit(unit)}`,
        ),
        ...rulers(seen.containers, own),
    ];
}

function doesNotEnd(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0711", {
        where,
        found,
        changed: "its containers were told to stop, and have the restart policy `no`",
    });
}

function stillRunning(where: string, evidence: readonly string[], changed: string): MigrationError {
    return new MigrationError("SM-E0702", {
        where,
        found: evidence.join("\n"),
        expected: "no process of the homeserver but those of its containers, and none after them",
        changed,
    });
}
