/** Declares the steps of one run, phase after phase. */
import type * as pulumi from "@pulumi/pulumi";
import type { stageUndoContract, RunReference, StepContract } from "../contract/index.ts";
import { MigrationStep, type EarlierStep, type SpecInputs } from "./migrationStep.ts";

/** Where a step hangs, and what results cannot say about it. */
export interface StepPlace {
    readonly parent: pulumi.Resource;
    /** Steps that it comes after although it takes no result of theirs; absent ones are left out. */
    readonly after?: readonly (EarlierStep | undefined)[];
    readonly protect?: boolean;
    readonly lookAgainWhen?: readonly pulumi.Input<string>[];
}

/**
 * Order comes from results that go into the specification of later steps. Beyond that, each phase has an undo of its own, the resource `guard-<phase>`: it
 * comes after everything of the phases before it, and before everything of its own.
 *
 * ```
 *   assess ◀─ guard-stage ◀─┬─ secrets ────────┐                     ┌─ canary ◀─ fence ◀─┬─ dump ◀─ …
 *                           ├─ database ───────┼◀─ guard-migrate ◀───┤                    └─ media-final ◀─ …
 *                           └─ media-storage … ┘                     └─ …
 * ```
 *
 * So Pulumi makes it first and deletes it last, when it can undo what failed steps of its phase have left.
 */
export class StepSequence {
    /** Of every step. */
    public readonly run: RunReference;
    readonly #declared: EarlierStep[] = [];
    readonly #isCommitted: boolean;
    #isProtecting = false;
    #phaseUndo: EarlierStep | undefined;
    /** Of the phase. */
    #first: EarlierStep | undefined;

    /** @param isCommitted  what would have a step done again, another version of the program for one, does so no more */
    constructor(run: RunReference, isCommitted: boolean) {
        this.run = run;
        this.#isCommitted = isCommitted;
    }

    /** What is declared from here on is protected: it is there only after the commit, and all before it is what it comes after. */
    public protectFromHere(): void {
        this.#isProtecting = true;
    }

    /** Everything that has been declared. */
    public get declared(): readonly EarlierStep[] {
        return [...this.#declared];
    }

    /** Begins a phase with its undo. */
    public enter(undo: typeof stageUndoContract, serverName: string, parent: pulumi.Resource): void {
        this.#first = undefined;
        this.#phaseUndo = this.add(undo, { run: this.run, serverName }, { parent, after: this.declared });
    }

    /** Declares a step that everything of its phase that is declared later comes after. */
    public addFirst<Spec, Result>(
        contract: StepContract<Spec, Result>,
        spec: SpecInputs<Spec> & { readonly run: { readonly id?: string | undefined } },
        place: StepPlace,
    ): MigrationStep<Spec, Result> {
        const step = this.add(contract, spec, place);
        this.#first = step;
        return step;
    }

    /** Declares a step of the phase that was entered last; its resource is named like the step. */
    public add<Spec, Result>(
        contract: StepContract<Spec, Result>,
        spec: SpecInputs<Spec> & { readonly run: { readonly id?: string | undefined } },
        place: StepPlace,
    ): MigrationStep<Spec, Result> {
        const { after = [], ...rest } = this.#isProtecting ? { ...place, protect: true } : place;
        const dependsOn = [...new Set([this.#phaseUndo, this.#first, ...after])].filter((step) => step !== undefined);
        const kept = { keepTriggers: this.#isCommitted };
        const step = new MigrationStep(contract.name, contract, spec, { ...rest, dependsOn, ...kept });
        this.#declared.push(step);
        return step;
    }
}
