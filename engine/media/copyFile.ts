/** Copies one file of a media store, and tells its SHA-256. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, realpath, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { MigrationError } from "../run/errors.ts";
import { holdBelow, type Owner } from "../run/heldDirectory.ts";
import { partialSuffix } from "./scan.ts";

export interface FileContent {
    readonly size: number;
    /** Lower-case hexadecimal. */
    readonly sha256: string;
}

export type { Owner };

/** Synapse needs to read them, its group may, nobody else. */
const fileMode = 0o640;
const directoryMode = 0o750;
const chunkBytes = 256 * 1024;

/** @param signal  ends the reading of a large file */
export async function hashFile(path: string, signal?: AbortSignal): Promise<FileContent> {
    const file = await open(path, constants.O_RDONLY);
    try {
        return await readThrough(file, () => Promise.resolve(), signal);
    } finally {
        await file.close();
    }
}

/** A place in a media store. */
export interface StorePlace {
    readonly root: string;
    readonly path: string;
}

/**
 * Copies a file with its time of change, as {@link placeFile} does.
 *
 * @returns undefined when the source changed while it was read: nothing is copied then
 */
export async function copyFile(
    from: string,
    target: StorePlace,
    owner: Owner | undefined,
    signal?: AbortSignal,
): Promise<FileContent | undefined> {
    // The walk has seen that links stay in the store; the last one is resolved here so that no other one is followed.
    const source = await open(await realpath(from), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
        return await placeFile(target, owner, async (copy) => {
            const before = await source.stat({ bigint: true });
            const content = await readThrough(source, (chunk) => writeWhole(copy, chunk), signal);
            await copy.utimes(Number(before.atimeMs) / 1000, Number(before.mtimeNs) / 1e9);
            const after = await source.stat({ bigint: true });
            const changed = after.mtimeNs !== before.mtimeNs || after.size !== before.size;
            return changed || BigInt(content.size) !== after.size ? undefined : content;
        });
    } finally {
        await source.close();
    }
}

/**
 * Makes a file of a store: a partial file beside its place, synced, then renamed. A kill at any moment leaves the old file or the new one.
 * The store belongs to Synapse's user, who may exchange directories for links while we work: none is followed.
 *
 * @param fill  gets the empty file; undefined leaves the place as it was
 * @throws MigrationError SM-E1201 when the file system is full, SM-E1207 when a link is in the way
 */
export async function placeFile(
    target: StorePlace,
    owner: Owner | undefined,
    fill: (copy: FileHandle) => Promise<FileContent | undefined>,
): Promise<FileContent | undefined> {
    try {
        // Each directory gets the owner that Synapse needs to write into it.
        const directory = await holdBelow(target.root, dirname(target.path), { mode: directoryMode, owner });
        const to = directory.at(basename(target.path));
        const partial = `${to}${partialSuffix}`;
        try {
            await rm(partial, { force: true });
            const content = await fillFile(partial, owner, fill);
            if (content === undefined) {
                await rm(partial);
                return undefined;
            }
            await rename(partial, to);
            await directory.handle.sync();
            return content;
        } catch (error) {
            await rm(partial, { force: true });
            throw error;
        } finally {
            await directory.close();
        }
    } catch (error) {
        throw fullDisk(error, target) ?? error;
    }
}

async function fillFile(
    path: string,
    owner: Owner | undefined,
    fill: (copy: FileHandle) => Promise<FileContent | undefined>,
): Promise<FileContent | undefined> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const copy = await open(path, flags, fileMode);
    try {
        const content = await fill(copy);
        await copy.chmod(fileMode);
        if (owner !== undefined) await copy.chown(owner.uid, owner.gid);
        await copy.sync();
        return content;
    } finally {
        await copy.close();
    }
}

function fullDisk(error: unknown, { root, path }: StorePlace): MigrationError | undefined {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOSPC" && code !== "EDQUOT") return undefined;
    const changed = "files were copied; those stay, and are not copied again";
    return new MigrationError("SM-E1201", { where: root, found: `no space for ${path}`, changed, cause: error });
}

async function readThrough(
    file: FileHandle,
    take: (chunk: Buffer) => Promise<void>,
    signal: AbortSignal | undefined,
): Promise<FileContent> {
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(chunkBytes);
    let size = 0;
    for (;;) {
        signal?.throwIfAborted();
        const { bytesRead } = await file.read(buffer, 0, chunkBytes, null);
        if (bytesRead === 0) return { size, sha256: hash.digest("hex") };
        const chunk = buffer.subarray(0, bytesRead);
        hash.update(chunk);
        size += bytesRead;
        await take(chunk);
    }
}

/** Writes all of a piece, however many calls that takes. */
export async function writeWhole(file: FileHandle, chunk: Buffer): Promise<void> {
    for (let offset = 0; offset < chunk.length;) {
        offset += (await file.write(chunk, offset, chunk.length - offset, null)).bytesWritten;
    }
}
