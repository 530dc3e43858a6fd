/** Copies one file of a media store, and tells its SHA-256. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm, type FileHandle } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { pieceBytes } from "../machines/far/farPour.ts";
import { thisMachine } from "../machines/local/localMachine.ts";
import type { FileContent, FileFacts, MachineFiles, PouredFile } from "../machines/machine.ts";
import { runProgram } from "../machines/program.ts";
import { MigrationError } from "../run/errors.ts";
import { hasCode, holdBelow, type HeldDirectory, type NewDirectory, type Owner } from "../run/heldDirectory.ts";
import { GatheredWrite, writeWhole } from "./gatheredWrite.ts";
import type { HeldFolders } from "./heldFolders.ts";
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
    /**
     * `later`: what is written is only safe from the end of the machine once {@link syncStore} is done, which is one wait for the disk and not
     * three for each file.
     */
    readonly durable?: "now" | "later";
    /** Of the root, for whoever places many small files: they are durable later. */
    readonly folders?: HeldFolders;
}

const syncSeconds = 3600;

/** Has all that was written to the file system of a store written to its disk. */
export async function syncStore(root: string, signal?: AbortSignal): Promise<void> {
    await runProgram("sync", ["--file-system", root], {
        timeoutSeconds: syncSeconds,
        ...(signal === undefined ? {} : { signal }),
    });
}

/** A file of this size or less is read whole before a place is made for it. From another machine it comes in one piece as well. */
export const smallFileBytes = pieceBytes;

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
        await copy.utimes(secondsOf(before), secondsOf(before));
        return { size, sha256: hash.digest("hex") };
    };
    if (from.size > smallFileBytes)
        return placeFile(target, owner, async (copy) => {
            const write = new GatheredWrite(copy);
            const poured = await pour((chunk) => write.add(chunk));
            await write.flush();
            return finish(copy, poured);
        });
    const chunks: Buffer[] = [];
    const poured = await pour((chunk) => void chunks.push(chunk));
    if (!isStill(poured.before, poured.after) || size !== poured.after.size) return undefined;
    const { folders, path } = target;
    if (folders === undefined)
        return placeFile(target, owner, async (copy) => {
            for (const chunk of chunks) await writeWhole(copy, chunk);
            return finish(copy, poured);
        });
    try {
        folders.place({ path, content: chunks, mode: fileMode, mtime: secondsOf(poured.before) });
    } catch (error) {
        throw fullDisk(error, target) ?? error;
    }
    return { size, sha256: hash.digest("hex") };
}

const secondsOf = ({ mtime }: FileFacts): number => Number(mtime) / 1e9;

const isStill = (before: FileFacts, after: FileFacts): boolean =>
    before.identity === after.identity && before.mtime === after.mtime && before.size === after.size;

/**
 * Makes a file of a store: a partial file beside its place, synced, then renamed. A kill at any moment leaves the old file or the new one;
 * so does the end of the machine, unless it is to be durable later.
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
    const place = (directory: HeldDirectory): Promise<FileContent | undefined> =>
        placeIn(directory, target, owner, fill);
    try {
        const directory = await holdBelow(target.root, dirname(target.path), newFolder(owner));
        try {
            return await place(directory);
        } finally {
            await directory.close();
        }
    } catch (error) {
        throw fullDisk(error, target) ?? error;
    }
}

/** Of a store: each gets the owner that Synapse needs to write into it. */
export const newFolder = (owner: Owner | undefined): NewDirectory => ({ mode: directoryMode, owner });

async function placeIn(
    directory: HeldDirectory,
    { path, durable }: StorePlace,
    owner: Owner | undefined,
    fill: (copy: FileHandle) => Promise<FileContent | undefined>,
): Promise<FileContent | undefined> {
    const to = directory.at(basename(path));
    const partial = `${to}${partialSuffix}`;
    try {
        const content = await fillFile(partial, owner, fill, durable);
        if (content === undefined) {
            await rm(partial);
            return undefined;
        }
        await rename(partial, to);
        if (durable !== "later") await directory.handle.sync();
        return content;
    } catch (error) {
        await rm(partial, { force: true });
        throw error;
    }
}

async function fillFile(
    path: string,
    owner: Owner | undefined,
    fill: (copy: FileHandle) => Promise<FileContent | undefined>,
    durable: StorePlace["durable"],
): Promise<FileContent | undefined> {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const copy = await open(path, flags, fileMode).catch(async (error: unknown) => {
        if (!hasCode(error, "EEXIST")) throw error;
        // Of a pass that was killed.
        await rm(path);
        return open(path, flags, fileMode);
    });
    try {
        const content = await fill(copy);
        await copy.chmod(fileMode);
        if (owner !== undefined) await copy.chown(owner.uid, owner.gid);
        if (durable !== "later") await copy.sync();
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
