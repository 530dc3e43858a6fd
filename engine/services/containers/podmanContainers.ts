/**
 * What Podman cannot do: hold a container that is stopped. `podman update` of Debian's 4.3 changes neither the restart policy nor the limit of tasks
 * (podman-update(1)), so whatever is there may be started again. A container that is made with `--rm` is not there any more once it has ended: then
 * the unit that makes it is all that has to be held.
 */
import type { Machine } from "../../machines/machine.ts";
import { MigrationError } from "../../run/errors.ts";
import type { UnitFacts } from "../systemd/unitFacts.ts";
import { describeContainer, type ContainerFacts } from "./containerFacts.ts";
import { allContainers } from "./engineCalls.ts";
import { containerOfUnit } from "./unitCommands.ts";

export function unholdable(machine: Pick<Machine, "name">, containers: readonly ContainerFacts[]): MigrationError {
    return new MigrationError("SM-E1480", {
        where: machine.name,
        found: containers.map(describeContainer).join("\n"),
        changed: "nothing: it was not stopped",
    });
}

/**
 * Of units, those of Podman: that none leaves a container behind when it is stopped.
 *
 * @throws MigrationError SM-E1480 for one that does, SM-E1471
 */
export async function refuseLeftContainers(machine: Machine, units: readonly UnitFacts[]): Promise<void> {
    const run = units.flatMap((unit) => containerOfUnit(unit) ?? []).filter(({ engine }) => engine === "podman");
    if (run.length === 0) return;
    const all = await allContainers(machine, "podman");
    const left = all.filter((one) => !one.autoRemove && run.some(({ name }) => name === one.name));
    if (left.length > 0) throw unholdable(machine, left);
}
