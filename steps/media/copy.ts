/** Copies one file of a media store, and tells its SHA-256. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { chown, mkdir, open, realpath, rename, rm, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { syncDirectory } from "../hosts/atomicFile.ts";
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

/**
 * Copies a file with its time of change: into a partial file beside its place, synced, then renamed. A kill at any moment leaves the old
 * file or the new one.
 *
 * @returns undefined when the source changed while it was read: nothing is copied then
 */
export async function copyFile(
    from: string,
    target: { readonly root: string; readonly path: string },
    owner: Owner | undefined,
    signal?: AbortSignal,
): Promise<FileContent | undefined> {
    const to = join(target.root, target.path);
    await makeDirectories(target.root, dirname(target.path), owner);
    const partial = `${to}${partialSuffix}`;
    // The walk has seen that links stay in the store; the last one is resolved here so that no other one is followed.
    const source = await open(await realpath(from), constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
        const before = await source.stat({ bigint: true });
        await rm(partial, { force: true });
        const copy = await open(
            partial,
            constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
            fileMode,
        );
        let content: FileContent;
        try {
            content = await readThrough(source, (chunk) => writeWhole(copy, chunk), signal);
            await copy.chmod(fileMode);
            if (owner !== undefined) await copy.chown(owner.uid, owner.gid);
            await copy.utimes(Number(before.atimeMs) / 1000, Number(before.mtimeNs) / 1e9);
            await copy.sync();
        } finally {
            await copy.close();
        }
        const after = await source.stat({ bigint: true });
        if (after.mtimeNs !== before.mtimeNs || after.size !== before.size || BigInt(content.size) !== after.size) {
            await rm(partial);
            return undefined;
        }
        await rename(partial, to);
        await syncDirectory(dirname(to));
        return content;
    } catch (error) {
        await rm(partial, { force: true });
        throw error;
    } finally {
        await source.close();
    }
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

async function writeWhole(file: FileHandle, chunk: Buffer): Promise<void> {
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
