/** Copies one file of a media store, and tells its SHA-256. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { thisMachine } from "../machines/local/localMachine.ts";
import type { FileContent, FileFacts, MachineFiles, PouredFile } from "../machines/machine.ts";
import { MigrationError } from "../run/errors.ts";
import { holdBelow, type Owner } from "../run/heldDirectory.ts";
import { partialSuffix } from "./scan.ts";

export type { FileContent, Owner };

/** Synapse needs to read them, its group may, nobody else. */
const fileMode = 0o640;
const directoryMode = 0o750;

/** Of this machine. */
export const hashFile = (path: string, signal?: AbortSignal): Promise<FileContent> =>
    thisMachine.files.hash(path, signal);

/** A place in a media store. */
export interface StorePlace {
    readonly root: string;
    readonly path: string;
}

/** A file of this size or less is read whole before a place is made for it. */
export const smallFileBytes = 256 * 1024;

/**
 * Copies a file with its time of change, as {@link placeFile} does.
 *
 * @param files  of the machine that it is on
 * @param from  a link is resolved once: the walk has seen that links stay in the store
 * @param size  as far as it is known
 * @returns undefined when the source changed while it was read: nothing is copied then
 */
export async function copyFile(
    files: MachineFiles,
    from: { readonly path: string; readonly size: number },
    target: StorePlace,
    owner: Owner | undefined,
    signal?: AbortSignal,
): Promise<FileContent | undefined> {
    const hash = createHash("sha256");
    let size = 0;
    const pour = (take: (chunk: Buffer) => Promise<void> | void): Promise<PouredFile> =>
        files.pour(
            from.path,
            (chunk) => {
                hash.update(chunk);
                size += chunk.length;
                return take(chunk);
            },
            signal,
        );
    const finish = async (copy: FileHandle, { before, after }: PouredFile): Promise<FileContent | undefined> => {
        if (!isStill(before, after) || size !== after.size) return undefined;
        // Of its access nothing is known.
        await copy.utimes(Number(before.mtime) / 1e9, Number(before.mtime) / 1e9);
        return { size, sha256: hash.digest("hex") };
    };
    if (from.size > smallFileBytes)
        return placeFile(target, owner, async (copy) => finish(copy, await pour((chunk) => writeWhole(copy, chunk))));
    const chunks: Buffer[] = [];
    const poured = await pour((chunk) => void chunks.push(Buffer.from(chunk)));
    if (!isStill(poured.before, poured.after)) return undefined;
    return placeFile(target, owner, async (copy) => {
        for (const chunk of chunks) await writeWhole(copy, chunk);
        return finish(copy, poured);
    });
}

const isStill = (before: FileFacts, after: FileFacts): boolean =>
    before.identity === after.identity && before.mtime === after.mtime && before.size === after.size;

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

/** Writes all of a piece, however many calls that takes. */
export async function writeWhole(file: FileHandle, chunk: Buffer): Promise<void> {
    for (let offset = 0; offset < chunk.length;) {
        offset += (await file.write(chunk, offset, chunk.length - offset, null)).bytesWritten;
    }
}
