/** A homeserver that systemd runs, with its workers: stopped so that no reboot, no supervisor and no habit starts it again, and started as it was. */
import type { SystemdService } from "../../../contract/index.ts";
import type { Machine } from "../../machines/machine.ts";
import { allProcesses, portsInUse, waitForEnd, type ProcessFacts } from "../../machines/procfs.ts";
import { MigrationError } from "../../run/errors.ts";
import { until } from "../../run/until.ts";
import { describeKept } from "../keeper.ts";
import { refuseLeftContainers } from "../containers/podmanContainers.ts";
import type { ServiceControl, ServiceStatus, StoppedService, StoppedUnits, WatchedService } from "../serviceControl.ts";
import { describe, usingConfiguration } from "../synapseProcess.ts";
import { withContainers } from "./adopted.ts";
import { cronLines } from "./cronLines.ts";
import { holdFile, placeHold } from "./hold.ts";
import { lookAtUnits, merged, recordOf, type Look } from "./look.ts";
import { allOf } from "./parts.ts";
import { startUnits } from "./startUnits.ts";
import { reloadUnits, showUnits, tellUnits } from "./systemctl.ts";
import { describeUnit, isDown, isUp, type UnitFacts } from "./unitFacts.ts";

export interface SystemdServiceOptions {
    readonly signal?: AbortSignal | undefined;
    readonly configFiles?: readonly string[];
    /** How long all units of one kind may take to end; systemd itself kills after `TimeoutStopSec`, which is 90 s where nobody has set it. */
    readonly stopSeconds?: number;
    /** For how long it is watched. What is held does not come back by systemd: this is for whoever starts it some other way. */
    readonly watchSeconds?: number;
    readonly startSeconds?: number;
}

/** What starts others first, so that nothing is started again in between. */
const stopOrder = ["trigger", "target", "worker", "main"] as const;
const stopSecondsByDefault = 120;
const watchSecondsByDefault = 4;
const startSecondsByDefault = 180;
const pollMilliseconds = 200;

export function systemdService(
    service: SystemdService,
    machine: Machine,
    options: SystemdServiceOptions = {},
): ServiceControl {
    const { signal } = options;
    const name = `${service.units.join(", ")}${machine.isHere ? "" : ` on ${machine.name}`}`;
    const stopSeconds = options.stopSeconds ?? stopSecondsByDefault;
    const look = (): Promise<Look> => lookAtUnits(machine, service, options.configFiles ?? []);

    const status = async (): Promise<ServiceStatus> => {
        const seen = await look();
        const { parts, services, units } = seen;
        const own = [...parts.main, ...parts.worker].flatMap((unit) => units.get(unit) ?? []);
        return {
            running: services.processes.length > 0 || own.some((unit) => !isDown(unit)),
            record: await recordOf(machine, seen),
            evidence: await evidenceOf(machine, seen),
            processes: services.processes,
        };
    };

    const refuseUnstoppable = async (): Promise<void> => {
        await requireRoot(machine);
        const seen = await look();
        refuseTransient(seen, machine);
        await refuseLeftContainers(machine, unitsOf(seen));
    };

    const stop = async (before?: StoppedService): Promise<StoppedUnits> => {
        await requireRoot(machine);
        const seen = await look();
        const { outside, processes } = seen.services;
        if (outside.length > 0) throw stillRunning(name, await kept(machine, outside), "nothing was changed");
        refuseTransient(seen, machine);
        await refuseLeftContainers(machine, unitsOf(seen));
        const record = merged(before === undefined ? undefined : unitsIn(before), await recordOf(machine, seen));
        await holdUnits(machine, seen.main, record);
        for (const part of stopOrder) {
            const units = record.units.filter((unit) => unit.part === part).map((unit) => unit.name);
            await stopUnits(machine, units, { stopSeconds, signal, name });
        }
        const left = await waitForEnd(machine, processes, stopSeconds, signal);
        if (left.length > 0)
            throw new MigrationError("SM-E0711", {
                where: name,
                found: `${left.map(describe).join("\n")}\nstill running ${stopSeconds} s after their units were stopped`,
                changed: "its units were stopped, and are held",
            });
        return record;
    };

    const staysDown = async (stopped: StoppedService, aborted?: AbortSignal): Promise<WatchedService> => {
        const seconds = options.watchSeconds ?? watchSecondsByDefault;
        const record = unitsIn(stopped);
        const back = await until(() => signsOf(machine, record), {
            seconds,
            everyMilliseconds: pollMilliseconds,
            signal: aborted ?? signal,
        });
        if (back !== undefined) throw stillRunning(name, back, "its units were stopped, and are held");
        const held = record.units.filter(({ part }) => part !== "alongside").map((unit) => unit.name);
        return {
            seconds,
            evidence: `units ${held.join(", ")} are inactive, and none starts: ${holdFile(held[0] ?? "")} and its likes`,
        };
    };

    const hasEnded = async (before: StoppedService, isEnding: boolean): Promise<boolean> => {
        const ran = unitsIn(before).units.filter(
            ({ active, part }) => active && (part === "main" || part === "worker"),
        );
        const names = ran.map((unit) => unit.name);
        const states = async () => [...(await showUnits(machine, names)).values()];
        if (isEnding)
            await until(
                async () => (await states()).every(({ activeState }) => activeState !== "deactivating") || undefined,
                { seconds: stopSeconds, everyMilliseconds: pollMilliseconds },
                () => new Error(`${names.join(", ")} were told to stop and have not ended`),
            );
        return (await states()).some((unit) => !isUp(unit));
    };

    const start = async (stopped: StoppedService): Promise<void> => {
        await requireRoot(machine);
        const seen = await look();
        const record = merged(unitsIn(stopped), await recordOf(machine, seen));
        const seconds = options.startSeconds ?? startSecondsByDefault;
        await startUnits(machine, record, { seconds, signal, name, main: seen.main });
    };

    return { name, status, refuseUnstoppable, stop, staysDown, hasEnded, start };
}

function unitsIn(stopped: StoppedService): StoppedUnits {
    if (stopped.kind !== "systemd") throw new Error(`a service of kind ${stopped.kind} has no units`);
    return stopped;
}

/** @throws MigrationError SM-E1422 */
async function requireRoot(machine: Machine): Promise<void> {
    const uid = await machine.userId();
    if (uid !== 0) throw new MigrationError("SM-E1422", { where: machine.name, found: `user id ${uid}` });
}

const unitsOf = ({ parts, units }: Look): UnitFacts[] => allOf(parts).flatMap((name) => units.get(name) ?? []);

/** @throws MigrationError SM-E0712 for what is gone once it is stopped */
function refuseTransient({ parts, units }: Look, machine: Machine): void {
    const gone = allOf(parts).filter((unit) => units.get(unit)?.fragment.startsWith("/run/systemd/transient/"));
    if (gone.length === 0) return;
    throw new MigrationError("SM-E0712", {
        where: `${gone.join(", ")} on ${machine.name}`,
        found: "made by `systemd-run`: no file has what it would be started with again",
        expected: "units with files of their own",
        fix: "write a unit for what it runs, and have that run it",
        changed: "nothing: it was not stopped",
    });
}

const kept = (machine: Machine, processes: readonly ProcessFacts[]): Promise<string[]> =>
    Promise.all(processes.map((one) => describeKept(machine, one)));

/** Before anything is stopped, so that nothing starts it while it is. @throws MigrationError SM-E1423, SM-E1424 */
async function holdUnits(machine: Machine, main: string, { units }: StoppedUnits): Promise<void> {
    const held: string[] = [];
    for (const { name, part, active } of units) {
        if (part === "alongside") continue;
        await placeHold(machine, { of: main, unit: name, part, active });
        held.push(name);
    }
    const changed = "the homeserver's units are held and were not stopped";
    await reloadUnits(machine, changed);
    const seen = await showUnits(machine, held);
    const without = held.filter((unit) => seen.get(unit)?.dropIns.includes(holdFile(unit)) !== true);
    if (without.length === 0) return;
    const where = `${without.map(holdFile).join(", ")} on ${machine.name}`;
    throw new MigrationError("SM-E1423", { where, found: "systemd does not read it", changed });
}

async function stopUnits(
    machine: Machine,
    units: readonly string[],
    { stopSeconds, signal, name }: { stopSeconds: number; signal: AbortSignal | undefined; name: string },
): Promise<void> {
    const said = await tellUnits(machine, "stop", units, { seconds: stopSeconds, signal });
    const left = [...(await showUnits(machine, units)).values()].filter((unit) => !isDown(unit));
    if (left.length === 0) return;
    throw new MigrationError("SM-E0711", {
        where: name,
        found: [...left.map(describeUnit), ...(said === undefined ? [] : [said])].join("\n"),
        changed: "its units are held, and were told to stop",
    });
}

/** What there is of it again; undefined when there is nothing. */
async function signsOf(machine: Machine, { units, configFiles, ports }: StoppedUnits): Promise<string[] | undefined> {
    const own = units.filter(({ part }) => part !== "alongside").map((unit) => unit.name);
    const [states, processes, used] = await Promise.all([
        showUnits(machine, own),
        allProcesses(machine),
        portsInUse(machine),
    ]);
    // One that somebody has started in another container has the configuration by that container's paths.
    const seen = [...states.values()];
    const all = await withContainers(machine, seen, seen, processes);
    const signs = [
        ...seen.filter((unit) => !isDown(unit)).map(describeUnit),
        ...(await kept(machine, usingConfiguration(configFiles, all))),
        ...ports.filter((port) => used.has(port)).map((port) => `something listens on port ${port} again`),
    ];
    return signs.length > 0 ? signs : undefined;
}

async function evidenceOf(machine: Machine, { services, parts, units, holds }: Look): Promise<string[]> {
    const shown = (names: readonly string[]): string[] =>
        names.flatMap((unit) => {
            const facts = units.get(unit);
            return facts === undefined ? [] : [describeUnit(facts)];
        });
    const wanted = new Set([...parts.main, ...parts.worker].flatMap((unit) => units.get(unit)?.pulledInBy ?? []));
    const starters = [...wanted].filter((unit) => !parts.target.includes(unit));
    const mentioned = await cronLines(machine, [...parts.main, ...parts.worker, ...services.configFiles]);
    const goesToo = parts.alongside.filter((unit) => {
        const facts = units.get(unit);
        return facts !== undefined && !isDown(facts);
    });
    return [
        ...shown([...parts.main, ...parts.worker, ...parts.target, ...parts.trigger]),
        ...services.processes.map(describe),
        ...services.outside.map((one) => `outside of these units: ${describe(one)}`),
        ...(starters.length === 0 ? [] : [`started by ${starters.sort().join(", ")}`]),
        ...(goesToo.length === 0 ? [] : [`stopped with it: ${goesToo.join(", ")}`]),
        ...mentioned.map((line) => `mentioned in ${line}`),
        ...holds.map(({ unit }) => `held: ${holdFile(unit)}`),
    ];
}

function stillRunning(where: string, evidence: readonly string[], changed: string): MigrationError {
    return new MigrationError("SM-E0702", {
        where,
        found: evidence.join("\n"),
        expected: "no process of the homeserver but those of its units, and none after them",
        changed,
    });
}
