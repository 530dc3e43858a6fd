/** What a step is to the program that runs it: a contract both halves know, and what it does. */
import type { StepContract } from "../../contract/define.ts";
import type { RunReference } from "../../contract/shared.ts";
import type { Journal } from "./journal.ts";
import type { Progress } from "./progress.ts";

/** What a step may use of the run it belongs to. */
export interface StepRun {
    /** Names directories and databases: `[a-z0-9]{1,16}`. */
    readonly id: string;
    /** The run directory, mode 0700. */
    readonly directory: string;
    /** The run as the specification has it: its stack, its target. */
    readonly reference: RunReference;
    readonly progress: Progress;
    readonly journal: Journal;
    /** Aborted on SIGINT, SIGTERM and SIGHUP, and when the process that called us is gone. */
    readonly signal: AbortSignal;
    /**
     * Runs an action of the step and records its result; an attempt that finds the record returns that instead of acting again.
     * The action must be safe to repeat: a kill may come between it and its record, and then it runs twice.
     */
    recorded<T>(action: string, act: () => Promise<T>): Promise<T>;
    /** Writes the step's full evidence, without secrets, beside the journal. Shown in the report. */
    evidence(evidence: object): Promise<void>;
}

export interface StepDefinition<Spec, Result> {
    readonly contract: StepContract<Spec, Result>;
    /** Idempotent. Reads, decides, acts, proves. */
    readonly act: (spec: Spec, run: StepRun) => Promise<Result>;
    /** Takes back what {@link act} did and this run still owns. Absent where there is nothing to take back. */
    readonly undo?: (spec: Spec, run: StepRun) => Promise<void>;
}

/** Binds what a step does to its contract. */
export function defineStep<Spec, Result>(
    contract: StepContract<Spec, Result>,
    act: (spec: Spec, run: StepRun) => Promise<Result>,
    undo?: (spec: Spec, run: StepRun) => Promise<void>,
): StepDefinition<Spec, Result> {
    return undo === undefined ? { contract, act } : { contract, act, undo };
}
