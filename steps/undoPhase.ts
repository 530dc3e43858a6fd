/**
 * Undoes what failed steps of a phase left. Declared before the other steps of the phase, so that Pulumi deletes it after them.
 * Stacks and journals know it as `guard-<phase>`.
 */
import type { stageUndoContract } from "../contract/index.ts";
import type { AnyStep } from "../engine/run/openStep.ts";
import type { LineKind } from "../engine/run/progress.ts";
import { defineStep, type StepDefinition } from "../engine/run/step.ts";
import { stepsToUndo } from "../engine/run/undoOrder.ts";
import { undoSteps, type StepFinder } from "../engine/run/undoFromJournal.ts";
import { releaseTargetDirectory } from "../engine/machines/targetDirectory.ts";
import { removeTargetRecord } from "../engine/run/ownership/targetRecord.ts";

type PhaseUndoContract = typeof stageUndoContract;
type PhaseUndoSpec = Parameters<
    StepDefinition<ReturnType<PhaseUndoContract["spec"]["parse"]>, { guards: string }>["act"]
>[0];

/**
 * A failed `create` is not in the Pulumi state, so its `delete` never runs: a source that was fenced by a step which then failed would stay
 * down when the administrator declares an earlier phase. This one reads in the journal what was begun.
 *
 * @param stepNamed  finds the steps to undo
 */
export function undoPhaseStep(contract: PhaseUndoContract, stepNamed: StepFinder): AnyStep {
    return defineStep<PhaseUndoSpec, { guards: string }>(
        contract,
        () => Promise.resolve({ guards: contract.phase }),
        async (_spec, run) => {
            const names = stepsToUndo(await run.journal.read(), contract.phase).filter(
                (name) => name !== contract.name,
            );
            const write = (line: string, kind?: LineKind): void =>
                kind === "note" ? run.progress.note(line) : run.progress.say(line);
            await undoSteps(names, run.directory, stepNamed, { write, signal: run.signal });
            // The first phase is undone last: nothing of the run is left that the record would have to speak for.
            const { target } = run.reference;
            const record = contract.phase === "stage" ? await removeTargetRecord(run.reference) : undefined;
            if (target !== undefined && record !== undefined)
                await releaseTargetDirectory(target, record.madeDirectory);
        },
    );
}
