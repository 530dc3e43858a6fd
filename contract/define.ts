/** What both halves know of a step, and how it is written down. */
import type { z } from "zod";

/** Phases of a stack, in order; each includes those before it. */
export const phases = ["assess", "stage", "migrate", "cutover", "finish"] as const;
export type Phase = (typeof phases)[number];

/** What both halves know of a step: its name, its phase, and the shapes of what goes in and comes out. */
export interface StepContract<Spec, Result> {
    /** Also the subcommand of `synapse-migrate`. */
    readonly name: string;
    readonly phase: Phase;
    /** Raised when what the step does changes in a way that makes its old result worthless. */
    readonly version: number;
    /**
     * Looks, or removes what is due: done again each time it is called, whatever its specification was before. `before-commit`: it looks at
     * the source, which may be gone after that. An update of its resource does it again, too.
     */
    readonly repeatable?: "before-commit" | "always";
    readonly spec: z.ZodType<Spec>;
    readonly result: z.ZodType<Result>;
    /** Fields that mean nothing once the step is done, or are checked elsewhere. Any other that changes after it was done is refused. */
    readonly immaterial?: readonly string[];
    /** Fields whose change is made true by doing the step once more: it then finds what it has made, and changes that alone. */
    readonly applied?: readonly string[];
    /**
     * Once the target is committed, nothing is undone, but in a stack that may be destroyed whole. What is irrevocable is not even undone
     * there: a source that was left stays stopped.
     */
    readonly irrevocable?: true;
    /** Whose record says whether it may be undone; the target's when absent. */
    readonly owner?: "source";
}

/** A contract, checked as what it is, with the types of its own schemas. */
export const contract = <Spec, Result>(contract: StepContract<Spec, Result>): StepContract<Spec, Result> => contract;
