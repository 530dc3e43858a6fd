/** Which steps have to be undone, and in what order, by what the journal says. Pure. */
import type { JournalRecord } from "./journal.ts";
import { stepState } from "./stepState.ts";

/** Steps of a phase that are not clean, the one begun last first: the order in which to undo them. */
export function stepsToUndo(records: readonly JournalRecord[], phase: string): string[] {
    const begun = new Map<string, number>();
    for (const record of records) {
        if (record.phase !== phase || record.kind !== "intent") continue;
        if (stepState(records, record.step).state !== "clean")
            begun.set(record.step, Math.max(begun.get(record.step) ?? 0, record.seq));
    }
    return [...begun].sort(([, a], [, b]) => b - a).map(([step]) => step);
}

/**
 * Steps of the same phase that were begun after this one, failed or were killed, and that nothing else undoes: the one begun last first.
 *
 * Pulumi does not know them, as a creation that failed is not in its state, so that it would undo this step while what they left
 * still runs: a target that did not become healthy, for example, while the source is started again.
 */
export function failedAfter(records: readonly JournalRecord[], step: string): string[] {
    const own = records.findLast((record) => record.step === step && record.kind === "intent");
    if (own === undefined) return [];
    return stepsToUndo(records, own.phase).filter((name) => {
        const of = records.filter((record) => record.step === name);
        const begun = of.findLast((record) => record.kind === "intent");
        const since = of.slice(of.findLastIndex((record) => record.kind === "undone") + 1);
        const settled = since.some((record) => record.kind === "done" || record.kind === "undo");
        return name !== step && begun !== undefined && begun.seq > own.seq && !settled;
    });
}
