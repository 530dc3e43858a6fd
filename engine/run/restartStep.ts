/** Has what a done step started run again, without doing the step again: the journal stays as it is. */
import { holdingTarget } from "./ownership/permission.ts";
import { withStep, type StepCall } from "./openStep.ts";

/** Only for steps that find what runs already, and leave it alone. */
export async function restartStep(call: StepCall): Promise<void> {
    await withStep(call, async ({ spec, run, state }) => {
        if (state.state !== "done") return;
        await holdingTarget(call.step.contract, run.reference, () => call.step.act(spec, run));
    });
}
