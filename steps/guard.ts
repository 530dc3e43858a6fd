/** Guards: made before the other steps of their phase, so that Pulumi deletes them last and their undo sweeps up what failed steps left. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { guardStageContract } from "./contract.ts";
import { runDirectoryPaths } from "./run/runDirectory.ts";
import { undoStep, type AnyStep } from "./run/runStep.ts";
import { defineStep, type StepDefinition } from "./run/step.ts";
import { stepsToUndo } from "./run/stepState.ts";

type GuardContract = typeof guardStageContract;
type GuardSpec = Parameters<StepDefinition<ReturnType<GuardContract["spec"]["parse"]>, { guards: string }>["act"]>[0];

/**
 * A failed `create` is not in the Pulumi state, so its `delete` never runs: a source that was fenced by a step which then failed would stay
 * down when the administrator declares an earlier phase. The guard knows from the journal what was begun.
 *
 * @param stepNamed  finds the steps to take back
 */
export function guardStep(contract: GuardContract, stepNamed: (name: string) => Promise<AnyStep | undefined>): AnyStep {
    return defineStep<GuardSpec, { guards: string }>(
        contract,
        () => Promise.resolve({ guards: contract.phase }),
        async (_spec, run) => {
            const names = stepsToUndo(await run.journal.read(), contract.phase).filter(
                (name) => name !== contract.name,
            );
            for (const name of names) {
                const step = await stepNamed(name);
                if (step === undefined) continue;
                const specFile = join(runDirectoryPaths(run.directory).specs, `${name}.json`);
                const text = await readFile(specFile, "utf8").catch(() => undefined);
                if (text === undefined) {
                    run.progress.say(`what ${name} left stays: ${specFile} is gone, as after the phase finish`);
                    continue;
                }
                run.progress.say(`taking back what ${name} left`);
                const spec: unknown = JSON.parse(text);
                await undoStep({ step, spec, write: (line) => run.progress.say(line), signal: run.signal });
            }
        },
    );
}
