/** What may still be done in a run whose source was put back after a failure: nothing, until the phase of the fence is taken back. */
import { giveBackContract } from "../../contract/migrate.ts";
import { phases, type StepContract } from "../../contract/define.ts";
import { MigrationError } from "./errors.ts";
import type { JournalRecord } from "./journal.ts";
import { stepState } from "./stepState.ts";

const fromHereOn = phases.slice(phases.indexOf(giveBackContract.phase));

/**
 * The state of Pulumi still has the resource of the fence, and its token goes into the specifications of later steps: what they would read
 * serves users again. That is so from the intent to put it back on, wherever a kill has ended that, and until phase `stage` is declared, whose
 * last undo, that of the whole phase, takes the step `give-back` back.
 *
 * The undo of the phase itself may be made anew: without it nothing would take the step back in a stack that has lost its state.
 *
 * @throws MigrationError SM-E0780
 */
export function refuseGivenBack(
    { name, phase }: Pick<StepContract<never, never>, "name" | "phase">,
    records: readonly JournalRecord[],
    journal: string,
): void {
    if (!fromHereOn.includes(phase) || name.startsWith("guard-") || name === giveBackContract.name) return;
    const { state, result } = stepState(records, giveBackContract.name);
    if (state === "clean") return;
    const given = giveBackContract.result.safeParse(result).data;
    const since = given === undefined ? "was begun and not finished" : `${given.at}, after ${given.failed} had failed`;
    throw new MigrationError("SM-E0780", {
        where: `step ${name}, ${journal}`,
        found: `the source was put back: ${since}${given === undefined ? "" : ` with ${given.code}`}`,
        expected: "a source that has been fenced since it was last served by",
        fix: nextCommands,
        changed: "nothing",
    });
}

export const nextCommands =
    "`pulumi config set phase stage && pulumi up` takes the copy back, while the source serves; then `pulumi config set phase migrate && pulumi up` fences and copies it anew";
