/** The bucket of a target's own: marked by the run that fills it, and taken back by that run alone. */
import { join } from "node:path";
import { Readable } from "node:stream";
import { z } from "zod";
import type { MediaStorageProvider } from "../../../contract/index.ts";
import { removedSecret } from "../../../contract/secret.ts";
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import { ownAddress } from "../../synapse/config/mediaStorageProviders.ts";
import { MediaIndex } from "../mediaIndex.ts";
import { Bucket, type StoredObject } from "./bucket.ts";

export type OwnBucket = Extract<MediaStorageProvider, { kind: "s3" }>;

/** Below the prefix, where no media are. */
const markerPath = ".synapse-migration.json";
const probePath = ".synapse-migration-probe";
const marker = z.strictObject({ run: z.string() });

/** What a run has put into the bucket, or found there: kept with the run. */
export function openUploaded(run: Pick<StepRun, "directory">): Promise<MediaIndex> {
    return MediaIndex.open(uploadedFile(run));
}

const uploadedFile = (run: Pick<StepRun, "directory">): string => join(run.directory, "media-bucket.jsonl");

/** Opens the bucket for the time of the work. */
export async function withOwnBucket<T>(
    own: OwnBucket,
    run: Pick<StepRun, "signal">,
    work: (bucket: Bucket) => Promise<T>,
): Promise<T> {
    const bucket = await Bucket.open(ownAddress(own), run.signal);
    try {
        return await work(bucket);
    } finally {
        bucket.close();
    }
}

/**
 * Tries all that will be done with the bucket, and marks it. What an earlier run has put there is taken over.
 *
 * @throws MigrationError SM-E0990 to SM-E0993
 */
export async function claimBucket(bucket: Bucket, run: string): Promise<void> {
    await bucket.list("local_content/").next();
    await bucket.write(probePath, Readable.from([Buffer.from("may this be removed?")]), run);
    await bucket.remove(probePath);
    await bucket.write(markerPath, Readable.from([Buffer.from(JSON.stringify({ run }))]), run);
    await requireClaimed(bucket, run);
}

/** @throws MigrationError SM-E0997 when another run has it, or none */
export async function requireClaimed(bucket: Bucket, run: string): Promise<void> {
    const found = await markerOf(bucket);
    if (found === run) return;
    throw new MigrationError("SM-E0997", {
        where: `${bucket.name}, ${bucket.address.prefix}${markerPath}`,
        found: found === undefined ? "no run has prepared the bucket" : `it belongs to run ${found}`,
        expected: `run ${run}`,
        fix: "is the step media-storage done, and no other stack using the same bucket and prefix?",
    });
}

/**
 * Removes what this run has put there and nobody has replaced since.
 *
 * @returns how much was removed; undefined when the bucket is not this run's, or gone
 */
export async function releaseBucket(
    bucket: Bucket,
    run: Pick<StepRun, "id" | "directory">,
): Promise<number | undefined> {
    const uploaded = await openUploaded(run);
    try {
        const found = await markerOf(bucket).catch((error: unknown) => {
            if (error instanceof MigrationError && error.code === "SM-E0991") return undefined;
            throw error;
        });
        if (found !== run.id) return undefined;
        const ours = new Set([...uploaded.paths()].filter((path) => isOurs(uploaded, path)));
        let removed = 0;
        for (const folder of new Set([...ours].map((path) => path.split("/")[0] ?? ""))) {
            for await (const object of bucket.list(`${folder}/`)) {
                if (!ours.has(object.path) || !isUnchanged(uploaded, object)) continue;
                await bucket.remove(object.path);
                uploaded.delete(object.path);
                removed++;
            }
        }
        // The marker last: a removal that was cut short can be finished.
        await bucket.remove(markerPath);
        return removed;
    } finally {
        await uploaded.close({ compact: true });
    }
}

/** Whether this is how a run has kept it, which keeps no keys. One that never had any is reached as before. */
export function hasLostItsKeys({ accessKeyId, secretAccessKey }: OwnBucket): boolean {
    return accessKeyId === removedSecret || secretAccessKey === removedSecret;
}

/** For whoever has the keys: what stays in a bucket that could not be released without them, and how it goes. */
export async function describeUnreleased(own: OwnBucket, run: Pick<StepRun, "directory">): Promise<string> {
    const uploaded = await openUploaded(run);
    try {
        const objects = [...uploaded.paths()].filter((path) => isOurs(uploaded, path)).length;
        const place = `${own.bucket}, ${own.prefix === "" ? "no prefix" : `prefix ${own.prefix}`}`;
        return [
            `the bucket stays as it is (${place}): the run keeps no keys of it. In it may be ${objects} objects of this run and its mark ${own.prefix}${markerPath}.`,
            "To have them removed, run `pulumi up` with phase `stage` and then take that phase back, which has the keys.",
            `By hand, remove the mark and the paths that ${uploadedFile(run)} has as \`put\`, each below the prefix`,
        ].join(" ");
    } finally {
        await uploaded.close({ compact: false });
    }
}

/** Whether the object is the one that the run has recorded. */
export function isUnchanged(uploaded: MediaIndex, { path, size, etag }: StoredObject): boolean {
    const known = uploaded.get(path);
    return known?.size === size && known.mtime.slice(known.mtime.indexOf(" ") + 1) === etag;
}

/** What the index keeps of an object in place of a file's time of change. */
export function stampOf(origin: "put" | "found", etag: string): string {
    return `${origin} ${etag}`;
}

/** Whether a run has put it there. */
export function isOurs(uploaded: MediaIndex, path: string): boolean {
    return uploaded.get(path)?.mtime.startsWith("put ") === true;
}

async function markerOf(bucket: Bucket): Promise<string | undefined> {
    const chunks: Buffer[] = [];
    const found = await bucket.read(markerPath, (chunk) => Promise.resolve(void chunks.push(chunk)));
    if (found === undefined) return undefined;
    try {
        return marker.parse(JSON.parse(Buffer.concat(chunks).toString())).run;
    } catch {
        return "(unreadable)";
    }
}
