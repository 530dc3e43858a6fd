/** What a journal says about one step. Pure. */
import type { JournalRecord } from "./journal.ts";

export interface StepState {
    /** `clean`: never begun, or taken back. `begun`: an attempt may have left something behind. `done`: finished. */
    readonly state: "clean" | "begun" | "done";
    /** Of the latest intent. */
    readonly specDigest?: string;
    /** Of the done record. */
    readonly result?: unknown;
    /** Results of the parts that were done since the step was last clean. */
    readonly actions: ReadonlyMap<string, unknown>;
}

/** Reads the state of a step from the records after its last `undone`. */
export function stepState(records: readonly JournalRecord[], step: string): StepState {
    const own = records.filter((record) => record.step === step);
    const current = own.slice(own.findLastIndex((record) => record.kind === "undone") + 1);
    const intent = current.findLast((record) => record.kind === "intent");
    const actions = new Map(
        current.flatMap((record) => (record.action === undefined ? [] : [[record.action, record.result] as const])),
    );
    if (intent === undefined) return { state: "clean", actions };
    const done = current.findLast((record) => record.kind === "done");
    const undoing = current.some((record) => record.kind === "undo");
    const digest = intent.specDigest === undefined ? {} : { specDigest: intent.specDigest };
    if (done === undefined || undoing) return { state: "begun", actions, ...digest };
    return { state: "done", actions, result: done.result, ...digest };
}

export const isDone = (records: readonly JournalRecord[], step: string): boolean =>
    stepState(records, step).state === "done";

/** Whether an attempt has begun that neither finished nor was taken back. */
export const isBegun = (records: readonly JournalRecord[], step: string): boolean =>
    stepState(records, step).state === "begun";

/** Steps after which the source must never serve again: a target that was opened, a bundle that was handed over. */
const committingSteps = ["commit", "hand-over"];

/** Whether the run is past the point of no return. */
export const isCommitted = (records: readonly JournalRecord[]): boolean =>
    committingSteps.some((step) => isDone(records, step));
