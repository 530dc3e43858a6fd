/** Copies into the target's store what the source has only in a bucket. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { CopyPassArgs } from "../sourcePass.ts";
import { inOrder } from "../inOrder.ts";
import type { IndexEntry } from "../mediaIndex.ts";
import { filesAtOnce } from "../treeDigest.ts";
import type { StoredObject } from "./bucket.ts";
import type { SourceMedia } from "./sourceMedia.ts";

export interface BucketPass {
    /** Files that are not in the source's store, and are in the target's now. */
    readonly files: number;
    readonly bytes: number;
    readonly copied: number;
}

export interface BucketPassArgs extends Omit<CopyPassArgs, "elsewhere" | "onFile" | "folders" | "source"> {
    readonly media: SourceMedia;
    /** What the source's store has itself. */
    readonly seen: ReadonlySet<string>;
    readonly onFile?: (soFar: BucketPass) => void;
}

/**
 * Safe to repeat, and to kill: what is copied already is not read again.
 *
 * @throws MigrationError those of {@link SourceMedia.copy}
 */
export async function bucketPass(args: BucketPassArgs): Promise<BucketPass> {
    const { media, seen, index, targetRoot, owner, signal } = args;
    let soFar: BucketPass = { files: 0, bytes: 0, copied: 0 };
    const carry = async (object: StoredObject): Promise<{ entry: IndexEntry; copied: boolean }> => {
        signal?.throwIfAborted();
        const { path, size } = object;
        const known = index.get(path);
        const there = await stat(join(targetRoot, path)).catch(() => undefined);
        // What was copied from the source's store before it was deleted there is as good.
        if (known?.size === size && there?.size === size && media.isRight(path, known))
            return { entry: known, copied: false };
        const { sha256 } = await media.copy(path, { root: targetRoot, path }, owner);
        const entry = { path, size, mtime: `s3 ${object.etag}`, sha256 };
        index.set(entry);
        return { entry, copied: true };
    };
    for await (const { entry, copied } of inOrder(missing(media, seen), filesAtOnce, carry)) {
        const { files, bytes } = soFar;
        soFar = { files: files + 1, bytes: bytes + entry.size, copied: soFar.copied + (copied ? 1 : 0) };
        args.onFile?.(soFar);
    }
    return soFar;
}

async function* missing(media: SourceMedia, seen: ReadonlySet<string>): AsyncGenerator<StoredObject> {
    for (const path of media.paths()) {
        const object = seen.has(path) ? undefined : media.object(path);
        if (object !== undefined) yield Promise.resolve(object);
    }
}
