/** What a stack that follows its source until the cut-over needs, or cannot have. Pure. */
import type { z } from "zod";
import type { MigrationError } from "../../../engine/run/errors.ts";
import type { plainSchema } from "../schema.ts";
import { invalidValue, type Locate } from "../problems.ts";

type PlainConfig = Pick<
    z.infer<typeof plainSchema>,
    "copy" | "rehearsal" | "replicationAddress" | "source" | "target" | "verify"
>;

/** @returns SM-E0211 for each setting that does not go with the others */
export function replicateConflicts(config: PlainConfig, locate: Locate): MigrationError[] {
    const { copy, verify, replicationAddress: address } = config;
    const refuse = (key: string, found: unknown, expected: string): MigrationError =>
        invalidValue([key], found, expected, locate);
    if (copy !== "replicate") {
        const notSet = "not set: it belongs to `copy: replicate`";
        return [
            ...(verify === undefined ? [] : [refuse("verify", verify, notSet)]),
            ...(address === undefined ? [] : [refuse("replicationAddress", `${address.host}:${address.port}`, notSet)]),
        ];
    }
    if (config.source.kind !== "selfHosted" || config.target.kind !== "local")
        return [refuse("copy", copy, "archive: only a server that runs can be followed, and only by another server")];
    // What follows ends with the source's last change, and a rehearsal leaves the source running.
    if (config.rehearsal) return [refuse("copy", copy, "direct or archive: a rehearsal never stops the source")];
    return [];
}
