/** Reads the attempts at each step, and where it stands, out of the journal. Pure. */
import type { JournalRecord } from "../run/journal.ts";
import type { Attempt, ReportedStep } from "./reportRecord.ts";

/** Steps in the order in which they first appear; an attempt whose end was never written is `interrupted` when another followed it. */
export function stepsOf(records: readonly JournalRecord[]): ReportedStep[] {
    const byStep = new Map<string, JournalRecord[]>();
    for (const record of records) byStep.set(record.step, [...(byStep.get(record.step) ?? []), record]);
    return [...byStep].map(([name, own]) => {
        const attempts = attemptsOf(own);
        const machines = machinesOf(own);
        return {
            ...{ name, phase: own[0]?.phase ?? "", state: stateOf(attempts), attempts },
            ...(machines === undefined ? {} : { machines }),
        };
    });
}

/** The program itself is always here, and so is what the run keeps. */
function machinesOf(records: readonly JournalRecord[]): string[] | undefined {
    const told = records.flatMap(({ machines }) => (machines === undefined ? [] : [machines]));
    return told.length === 0 ? undefined : [...new Set([...told.flat(), "this machine"])];
}

/** The result in the last `done` record, unless the step was taken back after it. */
export function standingResult(records: readonly JournalRecord[], step: string): unknown {
    const own = records.filter((record) => record.step === step);
    const since = own.slice(own.findLastIndex((record) => record.kind === "undone") + 1);
    return since.findLast((record) => record.kind === "done")?.result;
}

/** Whether what a step showed still holds: the journal knows the step, and it was not taken back since. */
export function stands(steps: readonly ReportedStep[], name: string): boolean {
    const step = steps.find((candidate) => candidate.name === name);
    return step !== undefined && step.state !== "undone";
}

function attemptsOf(records: readonly JournalRecord[]): Attempt[] {
    const attempts: Attempt[] = [];
    const update = (record: JournalRecord, change: Partial<Attempt>): void => {
        const open = attempts.at(-1)?.state === "unfinished" ? attempts.pop() : undefined;
        const start = open ?? begin(record, record.kind === "undone" ? "undo" : "do", attempts.length + 1);
        const seconds = record.seconds ?? (Date.parse(record.at) - Date.parse(start.startedAt)) / 1000;
        attempts.push({ ...start, endedAt: record.at, seconds: Math.max(0, seconds), ...change });
    };
    for (const record of records) {
        switch (record.kind) {
            case "intent":
            case "undo": {
                const open = attempts.at(-1);
                if (open?.state === "unfinished") attempts[attempts.length - 1] = { ...open, state: "interrupted" };
                attempts.push(begin(record, record.kind === "undo" ? "undo" : "do", attempts.length + 1));
                break;
            }
            case "action":
                update(record, { state: "unfinished", seconds: secondsBetween(attempts.at(-1), record) });
                break;
            case "failed":
                update(record, { state: "failed", ...(record.error === undefined ? {} : { error: record.error }) });
                break;
            case "done":
            case "undone":
                update(record, { state: "done" });
                break;
        }
    }
    return attempts;
}

function begin(record: JournalRecord, kind: Attempt["kind"], number: number): Attempt {
    return { kind, number, state: "unfinished", startedAt: record.at, endedAt: record.at, seconds: 0 };
}

/** `seconds` of an action are its own, not those of the attempt so far. */
function secondsBetween(attempt: Attempt | undefined, record: JournalRecord): number {
    return attempt === undefined ? 0 : Math.max(0, (Date.parse(record.at) - Date.parse(attempt.startedAt)) / 1000);
}

function stateOf(attempts: readonly Attempt[]): ReportedStep["state"] {
    const last = attempts.at(-1);
    if (last === undefined) return "unfinished";
    if (last.kind === "undo") return last.state === "done" ? "undone" : "undo-failed";
    return last.state === "interrupted" ? "unfinished" : last.state;
}
