/** What the passes over a media store have to do with buckets: what the source has there, what came from there, what stays there. */
import type { Check } from "../../../contract/index.ts";
import type { DatabaseAddress } from "../../postgres/connection.ts";
import type { StepRun } from "../../run/step.ts";
import { s3Buckets } from "../../synapse/config/mediaStorageProviders.ts";
import { passed } from "../mediaChecks.ts";
import { withMediaRows } from "../mediaRows.ts";
import { bucketPass, type BucketPass, type BucketPassArgs } from "./bucketPass.ts";
import { SourceMedia } from "./sourceMedia.ts";

/**
 * What a homeserver has in buckets of what its database knows.
 *
 * @param sections  of its configuration
 * @returns undefined when it has no S3 storage provider; else to be closed
 * @throws MigrationError SM-E0206 for a section that says nothing sensible, SM-E0990 to SM-E0993
 */
export async function sourceMedia(
    sections: Readonly<Record<string, unknown>>,
    address: DatabaseAddress,
    remoteCache: "carry" | "drop",
    { signal, progress }: Pick<StepRun, "signal" | "progress">,
): Promise<SourceMedia | undefined> {
    const buckets = s3Buckets(sections);
    if (buckets.length === 0) return undefined;
    const options = { step: "media", signal };
    return progress.during("looking into the source's storage providers", () =>
        SourceMedia.find(buckets, (work) => withMediaRows(address, options, work), remoteCache, signal),
    );
}

/** @throws MigrationError SM-E0990 to SM-E0994, SM-E1201 */
export function fetchMissing(args: BucketPassArgs, run: StepRun, state: () => string): Promise<BucketPass> {
    return run.progress.during("copying media that are only in the bucket", () => bucketPass(args), state);
}

/** @param fetched  absent where the bucket is kept */
export function bucketCheck(
    media: SourceMedia,
    fetched: BucketPass | undefined,
    seen: ReadonlySet<string> = new Set(),
): Check {
    const names = media.names.join(", ");
    if (fetched !== undefined)
        return passed(
            "media.bucket",
            `${fetched.files} files were only in ${names}, and are in the target's store now`,
        );
    const kept = [...media.paths()].filter((path) => !seen.has(path)).length;
    return passed("media.bucket", `${kept} files are only in ${names}, and stay there: their sizes were compared`);
}
