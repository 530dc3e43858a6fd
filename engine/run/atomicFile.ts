/** Files that are either there whole or not at all, and readable by their owner alone. */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { chmod, chown, lstat, mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

export interface PrivateFileOptions {
    /** Who owns the file afterwards; ourselves when absent. */
    readonly owner?: { readonly uid: number; readonly gid: number };
}

/**
 * Writes a file of mode 0600: into a new file beside it that no link can redirect, synced, then renamed over the old one.
 * A kill at any moment leaves the old content or the new, never a part.
 */
export async function writePrivateFile(
    path: string,
    content: string | Uint8Array,
    options: PrivateFileOptions = {},
): Promise<void> {
    const partial = `${path}.${randomBytes(6).toString("hex")}.partial`;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    const file = await open(partial, flags, 0o600);
    try {
        try {
            await file.writeFile(content);
            if (options.owner !== undefined) await file.chown(options.owner.uid, options.owner.gid);
            await file.sync();
        } finally {
            await file.close();
        }
        await rename(partial, path);
    } catch (error) {
        await rm(partial, { force: true });
        throw error;
    }
    await syncDirectory(dirname(path));
}

/** Makes a directory of mode 0700, with its parents; an existing one of ours is narrowed to 0700. */
export async function makePrivateDirectory(path: string, options: PrivateFileOptions = {}): Promise<void> {
    await mkdir(path, { recursive: true, mode: 0o700 });
    const { uid, mode } = await lstat(path);
    if ((mode & 0o077) !== 0 && uid === process.getuid?.()) await chmod(path, 0o700);
    if (options.owner !== undefined) await chown(path, options.owner.uid, options.owner.gid);
}

/** Makes a rename or a removal in the directory survive a power loss. */
export async function syncDirectory(path: string): Promise<void> {
    const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
        await directory.sync();
    } finally {
        await directory.close();
    }
}
