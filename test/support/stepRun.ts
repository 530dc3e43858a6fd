/** A run for tests of single steps: its journal is kept in memory, what the step says and leaves as evidence can be looked at. */
import type { Journal, JournalRecord } from "../../engine/run/journal.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import type { StepRun } from "../../engine/run/step.ts";

export interface TestRun extends StepRun {
    /** What was said, line by line. */
    readonly said: string[];
    readonly evidences: object[];
    /** What was journaled by `once`. */
    readonly actions: Map<string, unknown>;
}

export function testRun(id: string, directory: string, signal = new AbortController().signal): TestRun {
    const said: string[] = [];
    const evidences: object[] = [];
    const actions = new Map<string, unknown>();
    const records: JournalRecord[] = [];
    const journal: Journal = {
        read: () => Promise.resolve(records),
        append(entry) {
            const record = { ...entry, seq: records.length + 1, at: new Date().toISOString(), previous: "", hash: "" };
            records.push(record);
            return Promise.resolve(record);
        },
    };
    return {
        ...{ id, directory, reference: { id, directory }, signal, said, evidences, actions, journal },
        progress: lineProgress("test", (line) => said.push(line), redact),
        async recorded<T>(action: string, act: () => Promise<T>): Promise<T> {
            // As the journal does: what comes back is what was recorded, through JSON.
            if (!actions.has(action)) {
                const result = await act();
                actions.set(action, result === undefined ? undefined : JSON.parse(JSON.stringify(result)));
            }
            return actions.get(action) as T;
        },
        evidence(evidence) {
            evidences.push(evidence);
            return Promise.resolve();
        },
    };
}
