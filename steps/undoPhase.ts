/** Guards: made before the other steps of their phase, so that Pulumi deletes them last and their undo sweeps up what failed steps left. */
import type { guardStageContract } from "../contract/index.ts";
import type { AnyStep } from "../engine/run/runStep.ts";
import { defineStep, type StepDefinition } from "../engine/run/step.ts";
import { stepsToUndo } from "../engine/run/stepState.ts";
import { takeBack, type StepFinder } from "../engine/run/undoFromJournal.ts";

type GuardContract = typeof guardStageContract;
type GuardSpec = Parameters<StepDefinition<ReturnType<GuardContract["spec"]["parse"]>, { guards: string }>["act"]>[0];

/**
 * A failed `create` is not in the Pulumi state, so its `delete` never runs: a source that was fenced by a step which then failed would stay
 * down when the administrator declares an earlier phase. The guard knows from the journal what was begun.
 *
 * @param stepNamed  finds the steps to take back
 */
export function guardStep(contract: GuardContract, stepNamed: StepFinder): AnyStep {
    return defineStep<GuardSpec, { guards: string }>(
        contract,
        () => Promise.resolve({ guards: contract.phase }),
        async (_spec, run) => {
            const names = stepsToUndo(await run.journal.read(), contract.phase).filter(
                (name) => name !== contract.name,
            );
            const write = (line: string): void => run.progress.say(line);
            await takeBack(names, run.directory, stepNamed, { write, signal: run.signal });
        },
    );
}
