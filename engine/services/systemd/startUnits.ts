/** Lets a held homeserver start again, and starts of it what ran. */
import type { Machine } from "../../machines/machine.ts";
import { MigrationError } from "../../run/errors.ts";
import { redact } from "../../run/redaction.ts";
import { until } from "../../run/until.ts";
import type { RecordedUnit, StoppedUnits } from "../serviceControl.ts";
import { readHold, removeHold } from "./hold.ts";
import { journalEnd, reloadUnits, showUnits, tellUnits } from "./systemctl.ts";
import { describeUnit, isUp, type UnitFacts } from "./unitFacts.ts";

const resetSeconds = 30;
const pollMilliseconds = 200;

export interface StartingUnits {
    readonly seconds: number;
    readonly signal: AbortSignal | undefined;
    /** As holds name the homeserver. */
    readonly main: string;
    /** Of the service, for messages. */
    readonly name: string;
}

/**
 * What did not run is held until the rest has started: a target or a unit that wants it would start it as well.
 *
 * @throws MigrationError SM-E0712 naming what does not come up, with the end of its journal
 */
export async function startUnits(machine: Machine, { units }: StoppedUnits, starting: StartingUnits): Promise<void> {
    const changed = "its units are no longer held, or some of them";
    const own = units.filter(({ part }) => part !== "alongside");
    await letGo(
        machine,
        starting.main,
        own.filter(({ active }) => active),
    );
    await reloadUnits(machine, changed);
    const ran = units.filter(({ active }) => active).map(({ name }) => name);
    // What was tried in vain while it was held, or has failed before, may not start again for a while otherwise.
    await tellUnits(machine, "reset-failed", ran, { seconds: resetSeconds, signal: starting.signal });
    const failures: UnitFailure[] = [];
    for (const part of ["main", "worker", "target", "trigger", "alongside"] as const) {
        const names = units.filter((unit) => unit.active && unit.part === part).map(({ name }) => name);
        failures.push(...(await startPart(machine, names, starting)));
    }
    await letGo(
        machine,
        starting.main,
        own.filter(({ active }) => !active),
    );
    await reloadUnits(machine, changed);
    const [first] = failures;
    if (first === undefined) return;
    const journal = await journalEnd(machine, first.unit.name);
    const said = failures.map(({ unit, said }) => [describeUnit(unit), said].filter((text) => text !== "").join("\n"));
    throw new MigrationError("SM-E0712", {
        where: starting.name,
        found: redact([...said, journal].filter((text) => text !== "").join("\n")),
        expected: `units that are active within ${starting.seconds} s`,
        changed: "all other units that ran before were started, and none is held any more",
    });
}

interface UnitFailure {
    readonly unit: UnitFacts;
    /** By systemctl; empty where it was content. */
    readonly said: string;
}

async function letGo(machine: Machine, main: string, units: readonly RecordedUnit[]): Promise<void> {
    for (const { name } of units) {
        const hold = await readHold(machine, name);
        // Another homeserver's is that one's to remove.
        if (hold === undefined || hold.of === main) await removeHold(machine, name);
    }
}

/** @returns what does not come up: others of the homeserver may serve without it, and are started nevertheless */
async function startPart(
    machine: Machine,
    names: readonly string[],
    { seconds, signal }: StartingUnits,
): Promise<UnitFailure[]> {
    if (names.length === 0) return [];
    const said = (await tellUnits(machine, "start", names, { seconds, signal })) ?? "";
    let down: UnitFacts[] = [];
    // A worker that has found no main process yet is started again by systemd in a few seconds.
    await until(
        async () => {
            down = [...(await showUnits(machine, names)).values()].filter((unit) => !isUp(unit));
            return down.every(({ activeState }) => activeState !== "activating") || undefined;
        },
        { seconds, everyMilliseconds: pollMilliseconds, signal },
    );
    return down.map((unit, index) => ({ unit, said: index === 0 ? said : "" }));
}
