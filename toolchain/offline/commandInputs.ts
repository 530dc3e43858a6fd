/** The inputs of `command:local:Command` and `command:local:run`, as @pulumi/command 1.2.1 declares them. */
import { z } from "zod";
import { hasUnknown, type Properties } from "./propertyValues.ts";

const notInStandIn = z
    .array(z.string())
    .max(0, "the stand-in for the command plugin keeps no assets and archives; the official plugin does");

const processInputs = {
    stdin: z.string().optional(),
    environment: z.record(z.string(), z.string()).optional(),
    dir: z.string().optional(),
    interpreter: z.array(z.string()).optional(),
    /** Absent means both streams. */
    logging: z.enum(["none", "stdout", "stderr", "stdoutAndStderr"]).optional(),
    addPreviousOutputInEnv: z.boolean().optional(),
    assetPaths: notInStandIn.optional(),
    archivePaths: notInStandIn.optional(),
};

/** Inputs of the resource. Text that is absent is not run, but for `update`, for which `create` is. */
export const commandInputs = z.strictObject({
    ...processInputs,
    create: z.string().optional(),
    update: z.string().optional(),
    delete: z.string().optional(),
    triggers: z.array(z.unknown()).optional(),
});

/** Arguments of the invoke. */
export const runInputs = z.strictObject({ ...processInputs, command: z.string() });

/** What is kept in the state: the inputs and what the last run printed. */
export const commandState = commandInputs.extend({
    stdout: z.string().default(""),
    stderr: z.string().default(""),
});

export type ProcessInputs = Pick<
    z.infer<typeof commandInputs>,
    "stdin" | "environment" | "dir" | "interpreter" | "logging" | "addPreviousOutputInEnv"
>;

/**
 * What is wrong with the inputs, by property. A property that is not known yet is not judged.
 *
 * @param inputs  revealed
 */
export function problemsOf(inputs: Properties): { readonly property: string; readonly reason: string }[] {
    const known = Object.fromEntries(Object.entries(inputs).filter(([, value]) => !hasUnknown(value)));
    const issues = commandInputs.safeParse(known).error?.issues ?? [];
    return issues.map((issue) => ({
        property: issue.code === "unrecognized_keys" ? issue.keys.join(", ") : issue.path.join("."),
        reason: issue.message,
    }));
}
