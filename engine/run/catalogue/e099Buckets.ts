/** SM-E099: media in buckets of S3 storage providers. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e099Buckets = {
    "SM-E0990": entry(
        "service",
        "an S3 bucket cannot be reached",
        "media that lie only in the bucket would be missing on the target",
        "does the server at `endpoint_url` (or of the region) answer from this machine? Try: curl -sSI <endpoint>",
    ),
    "SM-W0990": entry(
        "check",
        "media of an S3 bucket come into the target's own store",
        "the target needs room for all of them, and keeps new media on its disk alone",
        "make room, or set config `target.mediaStorageProvider`: {kind: keep} for the same bucket, {kind: s3, …} for another one",
    ),
    "SM-E0991": entry(
        "artefact",
        "an S3 bucket is not there",
        "media that lie only in the bucket would be missing on the target",
        "compare bucket, region and endpoint with what the provider of the storage says; was the bucket renamed or removed?",
    ),
    "SM-E0992": entry(
        "secret",
        "the server of an S3 bucket does not know the credentials",
        "neither this program nor Synapse can read media with them",
        "take key and secret anew from the provider of the storage; is the clock of this machine right?",
    ),
    "SM-E0993": entry(
        "secret",
        "access to an S3 bucket is denied",
        "a copy of what may be read alone would be incomplete without anybody noticing",
        "allow s3:ListBucket and s3:GetObject for the source's bucket; for the target's s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload too",
    ),
    "SM-E0994": entry(
        "artefact",
        "media were altered on their way from or to an S3 bucket",
        "people would see broken pictures and files for good",
        "run the same command again; does it happen again? Then what stands between this machine and the bucket: a proxy, a gateway?",
    ),
    "SM-E0995": entry(
        "check",
        "the target's Synapse cannot load the S3 storage provider",
        "Synapse does not start without a module that its configuration names",
        "run: <target.synapsePython> -m pip install synapse-s3-storage-provider",
    ),
    "SM-E0996": entry(
        "usage",
        "the storage provider of the target does not fit the source",
        "what the source has in its bucket is the source's until the cut-over",
        "for the source's bucket set config `target.mediaStorageProvider` to {kind: keep}; for none leave it out",
    ),
    "SM-E0997": entry(
        "state",
        "the target's bucket has something else where media belong",
        "one of the two would be lost",
        "is it the bucket of another homeserver, or of another run? Choose another `bucket`, or another `prefix`",
    ),
} as const satisfies Record<string, CatalogueEntry>;
