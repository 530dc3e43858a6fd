/** The view of a homeserver whose container a unit of systemd runs: by the container, or by the unit's own words where it is not there. */
import type { Machine } from "../../machines/machine.ts";
import type { UnitFacts } from "../systemd/unitFacts.ts";
import type { ContainerMount } from "./containerFacts.ts";
import { viewOf, type ContainerView } from "./containerView.ts";
import { allContainers, engineNamed, volumePlace, type EngineName } from "./engineCalls.ts";
import { containerOfUnit } from "./unitCommands.ts";

/** @returns undefined for a unit that runs no container */
export async function viewOfUnit(machine: Machine, unit: UnitFacts | undefined): Promise<ContainerView | undefined> {
    const said = unit === undefined ? undefined : containerOfUnit(unit);
    const engine = engineNamed(said?.engine);
    if (said === undefined || engine === undefined) return undefined;
    const all = await allContainers(machine, engine);
    const there = all.find(({ name }) => name === said.name);
    if (there !== undefined) return viewOf(there, { machine, engine, all });
    const mounts = await Promise.all(said.facts.mounts.map((mount) => placed(machine, engine, mount)));
    return viewOf({ ...said.facts, mounts }, { machine, engine, all });
}

/** A volume is named where a directory could be. */
async function placed(machine: Machine, engine: EngineName, mount: ContainerMount): Promise<ContainerMount> {
    if (mount.source.startsWith("/") || mount.source === "") return mount;
    return { ...mount, source: (await volumePlace(machine, engine, mount.source)) ?? "" };
}
