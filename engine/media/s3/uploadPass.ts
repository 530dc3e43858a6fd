/** Puts the target's media into a bucket of its own, and reads each back: neither an answer nor an ETag proves what the bucket has. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import type { Check } from "../../../contract/index.ts";
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import { inOrder } from "../inOrder.ts";
import { providedFolders } from "../layout.ts";
import { passed } from "../mediaChecks.ts";
import type { IndexEntry, MediaIndex } from "../mediaIndex.ts";
import { filesAtOnce } from "../treeDigest.ts";
import type { Bucket, ReadObject, StoredObject } from "./bucket.ts";
import {
    isOurs,
    isUnchanged,
    openUploaded,
    requireClaimed,
    stampOf,
    withOwnBucket,
    type OwnBucket,
} from "./targetBucket.ts";

export interface UploadPass {
    /** Objects of the bucket that are the target's media. */
    readonly objects: number;
    readonly bytes: number;
    readonly uploaded: number;
    /** Objects of this run that the source has deleted since. */
    readonly removed: number;
    /** For people. */
    readonly bucket: string;
}

interface UploadArgs {
    readonly bucket: Bucket;
    /** What was copied to the target's store. */
    readonly index: MediaIndex;
    readonly uploaded: MediaIndex;
    readonly targetRoot: string;
    readonly run: string;
}

const attempts = 2;
const nothing = (): Promise<void> => Promise.resolve();

/**
 * Uploads what the bucket has not. Safe to repeat, and to kill.
 *
 * @throws MigrationError SM-E0990 to SM-E0993; SM-E0994 when an object is not what was uploaded, twice; SM-E0997 when the bucket has
 *     something else under a path that no run has put there, or is another run's
 */
export async function uploadMedia(
    own: OwnBucket,
    { index, targetRoot, remoteCache }: Pick<UploadArgs, "index" | "targetRoot"> & { remoteCache: "carry" | "drop" },
    run: StepRun,
): Promise<UploadPass> {
    const uploaded = await openUploaded(run);
    let whole = false;
    try {
        const pass = await withOwnBucket(own, run, async (bucket) => {
            await requireClaimed(bucket, run.id);
            let soFar = "";
            return run.progress.during(
                `uploading media to ${bucket.name}`,
                () =>
                    uploadPass(
                        { bucket, index, targetRoot, uploaded, run: run.id },
                        providedFolders(remoteCache),
                        (now) =>
                            (soFar = `${now.objects} objects, ${now.bytes} bytes, ${now.uploaded} of them uploaded`),
                    ),
                () => soFar,
            );
        });
        whole = true;
        return pass;
    } finally {
        await uploaded.close({ compact: whole });
    }
}

async function uploadPass(
    args: UploadArgs,
    folders: readonly string[],
    onObject: (soFar: UploadPass) => void,
): Promise<UploadPass> {
    const { bucket, index, uploaded } = args;
    const there = new Map<string, StoredObject>();
    // An earlier pass may have brought what this one is not to carry.
    const listed = new Set([...folders, ...[...uploaded.paths()].map((path) => path.split("/")[0] ?? "")]);
    for (const folder of listed) for await (const object of bucket.list(`${folder}/`)) there.set(object.path, object);
    let soFar: UploadPass = { objects: 0, bytes: 0, uploaded: 0, removed: 0, bucket: bucket.name };
    const work = async (entry: IndexEntry) => ({ entry, isNew: await bring(args, entry, there.get(entry.path)) });
    for await (const { entry, isNew } of inOrder(entriesOf(index, folders), filesAtOnce, work)) {
        const { objects, bytes } = soFar;
        soFar = {
            ...soFar,
            objects: objects + 1,
            bytes: bytes + entry.size,
            uploaded: soFar.uploaded + (isNew ? 1 : 0),
        };
        onObject(soFar);
    }
    for (const path of [...uploaded.paths()].filter((known) => index.get(known) === undefined)) {
        const object = there.get(path);
        if (object !== undefined && isOurs(uploaded, path) && isUnchanged(uploaded, object)) {
            await bucket.remove(path);
            soFar = { ...soFar, removed: soFar.removed + 1 };
        }
        uploaded.delete(path);
    }
    return soFar;
}

export function uploadCheck({ objects, bucket }: UploadPass): Check {
    return passed("media.upload", `${objects} objects of ${bucket} were read back and are what was copied`);
}

async function* entriesOf(index: MediaIndex, folders: readonly string[]): AsyncGenerator<IndexEntry> {
    for (const path of index.paths()) {
        const entry = index.get(path);
        if (entry !== undefined && folders.some((folder) => path.startsWith(`${folder}/`)))
            yield Promise.resolve(entry);
    }
}

/** @returns whether it was uploaded now */
async function bring(args: UploadArgs, entry: IndexEntry, there: StoredObject | undefined): Promise<boolean> {
    const { bucket, uploaded } = args;
    const { path, sha256 } = entry;
    const known = uploaded.get(path);
    // It was read back once, and is still that object.
    if (there !== undefined && known?.sha256 === sha256 && isUnchanged(uploaded, there)) return false;
    if (there !== undefined) {
        const found = await bucket.read(path, nothing);
        if (found?.sha256 === sha256) {
            remember(args, entry, found);
            return false;
        }
        if (found !== undefined && found.run === undefined) throw foreign(bucket, entry, found);
    }
    await put(args, entry);
    return true;
}

async function put(args: UploadArgs, entry: IndexEntry): Promise<void> {
    const { bucket, targetRoot, run } = args;
    const { path, sha256 } = entry;
    for (let attempt = 1; ; attempt++) {
        await bucket.write(path, createReadStream(join(targetRoot, path)), run);
        const back = await bucket.read(path, nothing);
        if (back?.sha256 === sha256) {
            remember(args, entry, back);
            return;
        }
        if (attempt < attempts) continue;
        throw new MigrationError("SM-E0994", {
            where: `${bucket.name}, ${bucket.address.prefix}${path}`,
            found: back === undefined ? "it is not there" : `${back.size} bytes with SHA-256 ${back.sha256}`,
            expected: `${entry.size} bytes with SHA-256 ${sha256}, which were uploaded`,
            changed: "media were copied to the target's store and its bucket; those stay, and are not copied again",
        });
    }
}

function remember({ uploaded }: UploadArgs, { path, size, sha256 }: IndexEntry, found: ReadObject): void {
    uploaded.set({ path, size, sha256, mtime: stampOf(found.run === undefined ? "found" : "put", found.etag) });
}

function foreign(bucket: Bucket, { path, size, sha256 }: IndexEntry, found: ReadObject): MigrationError {
    return new MigrationError("SM-E0997", {
        where: `${bucket.name}, ${bucket.address.prefix}${path}`,
        found: `${found.size} bytes with SHA-256 ${found.sha256}, which no run has put there`,
        expected: `nothing, or the source's ${size} bytes with SHA-256 ${sha256}`,
        changed: "media were copied to the target's store and its bucket; those stay, and are not copied again",
    });
}
