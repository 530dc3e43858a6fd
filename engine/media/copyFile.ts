/** Copies one file of a media store, and tells its SHA-256. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chown, mkdir, open, realpath, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { partialSuffix } from "./scan.ts";

export interface FileContent {
    readonly size: number;
    /** Lower-case hexadecimal. */
    readonly sha256: string;
}

export interface Owner {
    readonly uid: number;
    readonly gid: number;
}

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
 *
 * @param fill  gets the empty file; undefined leaves the place as it was
 * @throws MigrationError SM-E1201 when the file system is full
 */
export async function placeFile(
    target: StorePlace,
    owner: Owner | undefined,
    fill: (copy: FileHandle) => Promise<FileContent | undefined>,
): Promise<FileContent | undefined> {
    const to = join(target.root, target.path);
    const partial = `${to}${partialSuffix}`;
    try {
        await makeDirectories(target.root, dirname(target.path), owner);
        await rm(partial, { force: true });
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        const copy = await open(partial, flags, fileMode);
        let content: FileContent | undefined;
        try {
            content = await fill(copy);
            await copy.chmod(fileMode);
            if (owner !== undefined) await copy.chown(owner.uid, owner.gid);
            await copy.sync();
        } finally {
            await copy.close();
        }
        if (content === undefined) {
            await rm(partial);
            return undefined;
        }
        await rename(partial, to);
        await syncDirectory(dirname(to));
        return content;
    } catch (error) {
        await rm(partial, { force: true });
        throw fullDisk(error, target) ?? error;
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

/** Makes the directories from the store downwards, each with the owner that Synapse needs to write into them. */
async function makeDirectories(root: string, path: string, owner: Owner | undefined): Promise<void> {
    let made = root;
    for (const name of path.split("/")) {
        made = join(made, name);
        const isNew = await mkdir(made, { mode: directoryMode }).then(
            () => true,
            (error: unknown) => {
                if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
                throw error;
            },
        );
        if (isNew && owner !== undefined) await chown(made, owner.uid, owner.gid);
    }
}
