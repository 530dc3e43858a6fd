/** Checks of media in S3: what becomes of those of the source, and can the target's Synapse and this machine do what is asked for? */
import type { Finding, MediaStorageProvider } from "../../contract/index.ts";
import { runProgram } from "../machines/program.ts";
import { Bucket, nameOf } from "../media/s3/bucket.ts";
import { MigrationError } from "../run/errors.ts";
import {
    hasS3Provider,
    ownAddress,
    s3Buckets,
    s3Module,
    type BucketAddress,
} from "../synapse/config/mediaStorageProviders.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentContext, SourceCheck } from "./check.ts";
import { documentedFindings } from "./conclusion.ts";

type Sections = Readonly<Record<string, unknown>>;

/** A preview waits no longer for a server that may not be there. */
const previewSeconds = 3;
const importSeconds = 120;

export const mediaStorageChecks: readonly SourceCheck[] = [
    {
        id: "media-storage",
        cost: "cheap",
        run: ({ spec, config: { sections } }) =>
            orFindings(async () =>
                Promise.resolve(isReadElsewhere(spec) ? notRead(sections) : ruled(sections, spec.mediaStorageProvider)),
            ),
    },
    {
        id: "media-buckets",
        cost: "cheap",
        run: ({ spec, config: { sections } }) =>
            orFindings(async () => {
                const own = spec.mediaStorageProvider;
                const buckets = isReadElsewhere(spec) ? [] : s3Buckets(sections);
                const all = own?.kind === "s3" ? [...buckets, ownAddress(own)] : buckets;
                const found = await Promise.all(all.map((address) => orFindings(() => asked(address, spec.quick))));
                return found.flat();
            }),
    },
    {
        id: "media-storage-module",
        // Importing it imports most of Synapse.
        cost: "thorough",
        run: ({ spec }) =>
            spec.mediaStorageProvider === undefined ? Promise.resolve([]) : unlessLoaded(spec.targetPython),
    },
];

/** What goes into a bundle, or to matrix-media-repo, is read from the source's own store alone. */
export function isReadElsewhere({ bundle, mediaRepo }: AssessmentContext["spec"]): boolean {
    return bundle !== undefined || mediaRepo !== undefined;
}

/** Findings for a migration that reads no bucket, when the source's configuration has one. */
export function notRead(sections: Sections): Finding[] {
    if (!hasS3Provider(sections)) return [];
    const fix =
        "bring back what is only there with the module's s3_media_upload, or give the new server the module and the bucket";
    return sections["enable_local_media_storage"] === false
        ? [finding("SM-E0704", `enable_local_media_storage is false: media are only with ${s3Module}`, fix)]
        : [finding("SM-W0704", `media also go to the storage provider ${s3Module}`, fix)];
}

/** What follows from what the source has and what the target is to have. */
function ruled(sections: Sections, provider: MediaStorageProvider | undefined): Finding[] {
    const buckets = s3Buckets(sections);
    const names = buckets.map(nameOf).join(", ");
    if (provider === undefined)
        return buckets.length === 0
            ? []
            : [finding("SM-W0990", `the source keeps media in ${names}; the target is not configured with it`)];
    if (provider.kind === "keep")
        return buckets.length > 0 ? [] : [finding("SM-E0996", "the source has no S3 storage provider to keep")];
    const same = buckets.some((bucket) => placeOf(bucket) === placeOf(ownAddress(provider)));
    return same ? [finding("SM-E0996", `the target's bucket and prefix are the source's: ${names}`)] : [];
}

/** Addresses that lead to the same objects. */
function placeOf({ bucket, prefix, endpoint }: BucketAddress): string {
    return JSON.stringify([endpoint === undefined ? "aws" : new URL(endpoint).host, bucket, prefix]);
}

async function asked(address: BucketAddress, isQuick: boolean): Promise<Finding[]> {
    const bucket = await Bucket.open(address, new AbortController().signal, isQuick ? previewSeconds : undefined);
    try {
        // One answer says whether it is there, and may be listed.
        await bucket.list("local_content/").next();
        return [];
    } finally {
        bucket.close();
    }
}

/**
 * @throws nothing: what cannot be run is a finding, too
 */
async function unlessLoaded(python: string): Promise<Finding[]> {
    const [module = "", name = ""] = s3Module.split(".");
    try {
        await runProgram(python, ["-c", `import ${module}; ${module}.${name}`], { timeoutSeconds: importSeconds });
        return [];
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        const last = error.detail.found.trimEnd().split("\n").at(-1) ?? "";
        const fix = `${python} -m pip install synapse-s3-storage-provider`;
        return [finding("SM-E0995", `${python} cannot import ${module}: ${last}`, fix)];
    }
}

async function orFindings(work: () => Promise<Finding[]>): Promise<Finding[]> {
    return work().catch(documentedFindings);
}
