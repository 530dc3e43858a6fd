/** Which storage provider a target can have, and which keys go with it. A pure rule. */
import type { z } from "zod";
import type { MigrationError } from "../../../engine/run/errors.ts";
import type { plainSchema, SecretKey } from "../schema.ts";
import { invalidValue, missingValue, type Locate } from "../problems.ts";

type Configured = Pick<z.infer<typeof plainSchema>, "source" | "target" | "rehearsal">;

/** A bucket goes with a homeserver that runs; its keys, with a bucket of the target's own. @returns SM-E0212 for each problem */
export function mediaStorageProblems(
    { source, target, rehearsal }: Configured,
    secrets: ReadonlySet<SecretKey>,
    locate: Locate,
): MigrationError[] {
    const provider = target.kind === "local" ? target.mediaStorageProvider : undefined;
    const problems: MigrationError[] = [];
    const refuse = (expected: string): void => {
        const path = ["target", "mediaStorageProvider", "kind"];
        problems.push(invalidValue(path, provider?.kind, expected, locate));
    };
    if (provider !== undefined && source.kind !== "selfHosted")
        refuse("not set: only media of a source of kind selfHosted come from, or go to, a bucket");
    else if (provider !== undefined && rehearsal)
        refuse("not set: a rehearsal's target keeps to itself, and has all media in its own store");
    const keys = ["s3AccessKeyId", "s3SecretAccessKey"] as const;
    for (const key of keys) {
        if (provider?.kind !== "s3" && secrets.has(key))
            problems.push(
                invalidValue([key], "(encrypted)", "not set: target.mediaStorageProvider is not of kind s3", locate),
            );
        if (provider?.kind === "s3" && !secrets.has(key) && keys.some((other) => secrets.has(other)))
            problems.push(missingValue([key], "both keys of the bucket, or neither", locate));
    }
    return problems;
}
