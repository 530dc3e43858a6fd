/** The only place that makes a command resource: one resource a step of the data plane. */
import { local } from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { MigrationError } from "../engine/run/errors.ts";
import { parseJson } from "../engine/run/parseJson.ts";
import type { StepContract } from "../contract/index.ts";

/** A step's specification, each field of which may still have to come from an earlier step. */
export type SpecInputs<Spec> = { readonly [Field in keyof Spec]: pulumi.Input<Spec[Field]> };

/** A step of whatever kind that others come after. */
export interface EarlierStep {
    readonly resource: pulumi.Resource;
    readonly result: pulumi.Output<unknown>;
}

/** Options of a {@link MigrationStep}; `dependsOn` only where no result of the other step is taken. */
export interface MigrationStepOptions {
    readonly parent?: pulumi.Resource;
    readonly dependsOn?: readonly EarlierStep[];
    /** Refuses to delete or replace the resource, and so to undo the step. */
    readonly protect?: boolean;
    /** What makes the step run again, besides its version and a new run id. Only for steps that are repeatable: one that acts would act twice. */
    readonly lookAgainWhen?: readonly pulumi.Input<string>[];
    /** Triggers stay as they were when the step was done: nothing has it done again. */
    readonly keepTriggers?: boolean;
}

/** Runs a step from the project's directory, an argument a word: the engine appends `--do`, `--reprint` or `--undo`. */
export const stepInterpreter = (step: string): string[] => ["node", "steps/synapse-migrate.mjs", step];

/** Without these there would be no limit at all. The engine kills only the step itself; its programs die with it. */
const timeouts = { create: "12h", update: "10m", delete: "30m" };
/** Of a step that looks, an update looks again. */
const lookingTimeouts = { ...timeouts, update: timeouts.create };

/**
 * A step as a resource: created is done, deleted is undone, in the reverse of the order they were created in.
 *
 * - Only its triggers run a step again: another version of it, or another run. A changed specification alone is an update, and
 *   an update prints the result that the journal has: a step that is done stays as it was done.
 * - A step that may always be repeated is updated where others are replaced, and done again: once all is protected, a replacement is refused.
 * - A step whose creation failed is not in the state, so its undo does not run: the undo of its phase runs it.
 * - The specification travels as a secret on standard input. The result is not secret: steps keep secrets out of it.
 */
export class MigrationStep<Spec, Result> {
    /** Known once the step is done; unknown in the preview of a step that is still to do. */
    public readonly result: pulumi.Output<Result>;
    /** The resource that others depend on. */
    public readonly resource: pulumi.Resource;

    constructor(
        name: string,
        contract: StepContract<Spec, Result>,
        spec: SpecInputs<Spec> & { readonly run: { readonly id?: string | undefined } },
        options: MigrationStepOptions = {},
    ) {
        const looks = contract.repeatable !== undefined;
        const again = options.lookAgainWhen ?? [];
        const command = new local.Command(
            name,
            {
                interpreter: stepInterpreter(contract.name),
                create: "--do",
                update: looks ? "--again" : "--reprint",
                delete: "--undo",
                stdin: pulumi.secret(pulumi.jsonStringify(spec)),
                logging: local.Logging.Stderr,
                // An update answers from the journal. What a long step has said would be too long for one variable of Linux (128 KiB), and
                // then neither an update nor a deletion could start its program any more.
                addPreviousOutputInEnv: false,
                triggers: [contract.version, spec.run.id ?? ""],
                ...(looks ? { environment: { SYNAPSE_MIGRATION_AGAIN: joined(again) } } : {}),
            },
            {
                ...(options.parent === undefined ? {} : { parent: options.parent }),
                // Else what it is below decides: `false` would take a protection away that all have.
                ...(options.protect === true ? { protect: true } : {}),
                dependsOn: (options.dependsOn ?? []).map((step) => step.resource),
                ...(options.keepTriggers === true ? { ignoreChanges: ["triggers"] } : {}),
                customTimeouts: looks ? lookingTimeouts : timeouts,
                additionalSecretOutputs: ["stderr"],
            },
        );
        this.resource = command;
        this.result = command.stdout.apply((stdout) => readResult(contract, stdout));
    }
}

/** Nothing reads it: another text is another input of the resource, and so an update of it. */
function joined(what: readonly pulumi.Input<string>[]): pulumi.Output<string> {
    return pulumi.all([...what]).apply((texts) => texts.join(" "));
}

/**
 * What a step printed, as its contract describes it.
 *
 * @throws MigrationError SM-E0213 when it is something else
 */
export function readResult<Result>(
    contract: Pick<StepContract<never, Result>, "name" | "result">,
    stdout: string,
): Result {
    const result = contract.result.safeParse(parseJson(stdout));
    if (result.success) return result.data;
    throw new MigrationError("SM-E0213", {
        where: `step ${contract.name}`,
        found: result.error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("\n"),
        expected: "one line of JSON as its contract describes it",
    });
}
