/** Looks at a homeserver that systemd runs: its units, how they hang together, its processes. Changes nothing. */
import type { SystemdService } from "../../../contract/index.ts";
import type { Machine } from "../../machines/machine.ts";
import { allProcesses, listeningPorts } from "../../machines/procfs.ts";
import { hostPath } from "../../machines/pathMap.ts";
import { MigrationError } from "../../run/errors.ts";
import type { RecordedUnit, StoppedUnits } from "../serviceControl.ts";
import { viewOfUnit } from "../containers/unitView.ts";
import { describe } from "../synapseProcess.ts";
import { withContainers } from "./adopted.ts";
import { servicesAmong, type FoundServices } from "./findServices.ts";
import { holdsOf, type Hold } from "./hold.ts";
import { allOf, missingUnits, partsOf, type Parts } from "./parts.ts";
import { showUnits } from "./systemctl.ts";
import { isDown, type UnitFacts } from "./unitFacts.ts";

export interface Look {
    /** Main unit, as holds name it. */
    readonly main: string;
    readonly services: FoundServices;
    readonly parts: Parts;
    readonly units: ReadonlyMap<string, UnitFacts>;
    /** What an earlier attempt holds. */
    readonly holds: readonly Hold[];
}

/** More than any unit's neighbours hang on each other. */
const rounds = 12;

/**
 * @param given  the configuration of the source
 * @throws MigrationError SM-E1420 for a unit that is not there, SM-E1421 without systemd, SM-E1425 for one that is no homeserver's
 */
export async function lookAtUnits(machine: Machine, service: SystemdService, given: readonly string[]): Promise<Look> {
    const [known, processes] = await Promise.all([showUnits(machine, service.units), allProcesses(machine)]);
    const named = service.units.map((name) => {
        const unit = [...known.values()].find((one) => one.name === name || one.names.includes(name));
        if (unit !== undefined && ["loaded", "masked"].includes(unit.loadState)) return unit;
        throw new MigrationError("SM-E1420", {
            where: `${name} on ${machine.name}`,
            found: `load state ${unit?.loadState ?? "unknown"}`,
        });
    });
    const main = named[0]?.name ?? "";
    const holds = await holdsOf(machine, main);
    const held = holds.filter(({ part }) => part === "main" || part === "worker").map(({ unit }) => unit);
    const earlier = await showUnits(
        machine,
        held.filter((unit) => !named.some(({ name }) => name === unit)),
    );
    const loaded = await servicesThere(machine, named);
    const all = await withContainers(machine, named, [...loaded.values()], processes);
    const own = await ownFiles(machine, named, given);
    const services = servicesAmong([...named, ...earlier.values()], own, all, [...loaded.values()]);
    if (services.strange.length > 0) {
        const isStrange = (unit: string | undefined): boolean => services.strange.includes(unit ?? "");
        throw new MigrationError("SM-E1425", {
            where: `${services.strange.join(", ")} on ${machine.name}`,
            found: all
                .filter(({ keeping }) => isStrange(keeping.unit))
                .map(describe)
                .join("\n"),
            changed: "nothing",
        });
    }
    const units = new Map([...named, ...earlier.values(), ...loaded.values()].map((unit) => [unit.name, unit]));
    let parts = partsOf(units, services);
    for (let round = 0; round < rounds; round++) {
        const missing = missingUnits(units, parts);
        if (missing.length === 0) break;
        for (const [name, unit] of await showUnits(machine, missing)) units.set(name, unit);
        // An alias is answered under its own name.
        for (const name of missing) {
            const unit = [...units.values()].find((one) => one.names.includes(name));
            if (unit !== undefined) units.set(name, unit);
        }
        parts = partsOf(units, services);
    }
    return { main, services, parts, units, holds };
}

/** The configuration of the source, which a homeserver in a container names as the container has it. */
async function ownFiles(machine: Machine, named: readonly UnitFacts[], given: readonly string[]): Promise<string[]> {
    const view = await viewOfUnit(machine, named[0]);
    return view === undefined ? [...given] : given.map((file) => hostPath(file, view.paths));
}

/** Services that systemd has in its memory, and those that are started by whatever starts these at boot: it forgets what does not run. */
async function servicesThere(machine: Machine, named: readonly UnitFacts[]): Promise<Map<string, UnitFacts>> {
    const [loaded, starters] = await Promise.all([
        showUnits(machine, ["*.service"]),
        showUnits(machine, [...new Set(named.flatMap(({ pulledInBy }) => pulledInBy))]),
    ]);
    const started = [...starters.values()].flatMap(({ pullsIn }) => pullsIn);
    const missing = started.filter((name) => name.endsWith(".service") && !loaded.has(name));
    return new Map([...loaded, ...(await showUnits(machine, [...new Set(missing)]))]);
}

/** How it runs now; of what is held, how it ran before it was. */
export async function recordOf(machine: Machine, { services, parts, units, holds }: Look): Promise<StoppedUnits> {
    // In a container they are ports of its own network, and nobody's of the machine.
    const outside = services.processes.filter(({ keeping }) => keeping.container === undefined);
    const ports = await Promise.all(outside.map(({ pid }) => listeningPorts(machine, pid)));
    const wasActive = (name: string): boolean => {
        const unit = units.get(name);
        return (unit !== undefined && !isDown(unit)) || holds.some((hold) => hold.unit === name && hold.active);
    };
    const recorded = (part: RecordedUnit["part"], names: readonly string[]): RecordedUnit[] =>
        names.map((name) => ({ name, part, active: wasActive(name), enabled: units.get(name)?.enabled ?? "" }));
    const held = holds
        .filter(({ unit }) => !allOf(parts).includes(unit))
        .map(({ unit, part, active }) => ({ name: unit, part, active, enabled: units.get(unit)?.enabled ?? "" }));
    return inStartOrder({
        kind: "systemd",
        units: [
            ...recorded("main", parts.main),
            ...recorded("worker", parts.worker),
            ...recorded("target", parts.target),
            ...recorded("trigger", parts.trigger),
            ...recorded("alongside", parts.alongside),
            ...held,
        ],
        configFiles: [...services.configFiles],
        ports: [...new Set(ports.flat())].sort((a, b) => a - b),
    });
}

const startOrder: readonly RecordedUnit["part"][] = ["main", "worker", "target", "trigger", "alongside"];

function inStartOrder(stopped: StoppedUnits): StoppedUnits {
    const place = ({ part }: RecordedUnit): number => startOrder.indexOf(part);
    return { ...stopped, units: [...stopped.units].sort((a, b) => place(a) - place(b)) };
}

/** What was kept counts: what has come since then is added. */
export function merged(before: StoppedUnits | undefined, now: StoppedUnits): StoppedUnits {
    if (before === undefined) return now;
    const names = before.units.map(({ name }) => name);
    return inStartOrder({
        kind: "systemd",
        units: [...before.units, ...now.units.filter(({ name }) => !names.includes(name))],
        configFiles: [...new Set([...before.configFiles, ...now.configFiles])],
        ports: [...new Set([...before.ports, ...now.ports])],
    });
}
