/** A run for steps that are called directly: no journal, evidence kept for the test to look at. */
import type { StepRun } from "../../../steps/run/step.ts";

export interface FakeRun extends StepRun {
    readonly said: string[];
    readonly written: object[];
}

export function fakeRun(id: string, directory: string, signal = new AbortController().signal): FakeRun {
    const said: string[] = [];
    const written: object[] = [];
    return {
        id,
        directory,
        signal,
        said,
        written,
        progress: {
            say: (line) => said.push(line),
            during: async (title, work) => {
                said.push(title);
                return work();
            },
        },
        journal: {
            read: () => Promise.resolve([]),
            append: () => Promise.reject(new Error("no journal in this test")),
        },
        once: (_action, act) => act(),
        evidence: (evidence) => {
            written.push(evidence);
            return Promise.resolve();
        },
    };
}
