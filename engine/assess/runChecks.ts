/** Runs the checks of an assessment, one after the other, and tells those that did not run from those that found nothing. */
import type { Finding } from "../../contract/index.ts";
import type { AssessmentCheck, SourceContext } from "./check.ts";
import { findingsOfUnmade, isCancelled } from "./cancelled.ts";

/** No check of a preview is begun after this. */
const quickBudgetSeconds = 4;

interface Check<Context> extends Omit<AssessmentCheck, "run"> {
    readonly run: (context: Context) => Promise<Finding[] | "not-run">;
}

/**
 * @param beforeTheRun  ids of what is meant to differ once a run has begun, and must not stand in the way of going back
 */
export async function runChecks<Context extends SourceContext>(
    checks: readonly Check<Context>[],
    context: Context,
    beforeTheRun: ReadonlySet<string>,
): Promise<{ findings: Finding[]; notRun: string[]; passed: string[] }> {
    const findings: Finding[] = [];
    const notRun: string[] = [...context.measured.notRun];
    const passed: string[] = [];
    const began = performance.now();
    for (const { id, cost, run } of checks) {
        const outOfTime = context.spec.quick && performance.now() - began > quickBudgetSeconds * 1000;
        const meantToDiffer = context.begun && beforeTheRun.has(id);
        if ((context.spec.quick && cost === "thorough") || outOfTime || meantToDiffer) {
            notRun.push(id);
            continue;
        }
        try {
            const found = await run(context);
            if (found === "not-run") {
                notRun.push(id);
                continue;
            }
            findings.push(...found);
            if (found.length === 0) passed.push(id);
        } catch (error) {
            // What keeps one from being made is as much a finding as any other, and hides none of them.
            if (!isCancelled(error)) findings.push(...findingsOfUnmade(id, error));
            notRun.push(id);
        }
    }
    return { findings, notRun, passed };
}
