/**
 * Directories that are opened without following links, and worked in by their descriptor: whoever owns them, or their parents, cannot
 * redirect what root does in them. Node has no openat(2); `/proc/self/fd/<descriptor>/<name>` is the same to the kernel.
 */
import { constants } from "node:fs";
import { mkdir, open, readdir, rm, rmdir, unlink, type FileHandle } from "node:fs/promises";
import { MigrationError } from "./errors.ts";

export interface Owner {
    readonly uid: number;
    readonly gid: number;
}

/** An open directory. The path is good in this process alone, until it is closed. */
export class HeldDirectory {
    public readonly path: string;
    readonly #handle: FileHandle;

    constructor(handle: FileHandle) {
        this.#handle = handle;
        this.path = `/proc/self/fd/${handle.fd}`;
    }

    public get handle(): FileHandle {
        return this.#handle;
    }

    public at(name: string): string {
        return `${this.path}/${name}`;
    }

    public async close(): Promise<void> {
        await this.#handle.close();
    }
}

/** How a directory is to be. */
export interface DirectoryShape {
    readonly mode: number;
    /** Whether another mode will do, of a directory that is its owner's already. */
    readonly fits?: (mode: number) => boolean;
    /** Ourselves, and the group we make files with, when absent. */
    readonly owner?: Partial<Owner> | undefined;
    /** Whose it may be until now, besides ours and the owner's: it is taken from them. */
    readonly takenFrom?: readonly number[];
}

/** @throws MigrationError SM-E1207 when there is a link or something else than a directory */
export async function holdDirectory(path: string): Promise<HeldDirectory> {
    try {
        return new HeldDirectory(await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW));
    } catch (error) {
        if (!hasCode(error, "ENOTDIR") && !hasCode(error, "ELOOP")) throw error;
        throw unfitDirectory(path, "a link, or something else than a directory", error);
    }
}

/**
 * Makes a directory, or takes one that is there, and gives it its owner and mode by its descriptor. Its parent must be there.
 *
 * Any number of processes may do this at once: who finds it made, finishes it as the one who made it does.
 *
 * @throws MigrationError SM-E1207 when it is a link, or belongs to anybody else
 */
export async function holdShaped(path: string, shape: DirectoryShape): Promise<HeldDirectory & { isNew: boolean }> {
    const { mode, fits = (found) => found === mode, owner, takenFrom = [] } = shape;
    const isNew = await made(path, mode);
    const held = await holdDirectory(path);
    try {
        const [found, own] = [await held.handle.stat(), process.geteuid?.() ?? 0];
        const wanted = { uid: owner?.uid ?? own, gid: owner?.gid ?? found.gid };
        if (![own, wanted.uid, ...takenFrom].includes(found.uid)) {
            throw unfitDirectory(path, `it belongs to user id ${found.uid}`);
        }
        if (found.uid !== wanted.uid || found.gid !== wanted.gid) await held.handle.chown(wanted.uid, wanted.gid);
        if (found.uid !== wanted.uid || !fits(found.mode & 0o7777)) await held.handle.chmod(mode);
        return Object.assign(held, { isNew });
    } catch (error) {
        await held.close();
        throw error;
    }
}

/** {@link holdShaped} for who does not go on with it. @returns whether it was not there before */
export async function shapeDirectory(path: string, shape: DirectoryShape): Promise<boolean> {
    const held = await holdShaped(path, shape);
    await held.close();
    return held.isNew;
}

/**
 * Opens a directory below another, one name after the other, none of them through a link.
 *
 * @param path  relative, with slashes; none of its names is `..`
 * @param make  how those are made that are not there
 */
export async function holdBelow(root: string, path: string, make?: NewDirectory): Promise<HeldDirectory> {
    let held = await holdDirectory(root);
    for (const name of path.split("/").filter((part) => part !== "" && part !== ".")) {
        const parent = held;
        try {
            held = await holdIn(parent, name, make);
        } catch (error) {
            if (!(error instanceof MigrationError)) throw error;
            throw unfitDirectory(`${root}/${path}`, `${name}: ${error.detail.found}`, error);
        } finally {
            await parent.close();
        }
    }
    return held;
}

/** How directories are made that are not there. */
export interface NewDirectory {
    readonly mode: number;
    readonly owner: Owner | undefined;
}

/** Opens a directory in another one, not through a link. */
async function holdIn(parent: HeldDirectory, name: string, make?: NewDirectory): Promise<HeldDirectory> {
    if (name === "..") throw unfitDirectory(parent.path, "a name that leads upwards");
    const there = await holdDirectory(parent.at(name)).catch((error: unknown) => {
        if (make === undefined || !hasCode(error, "ENOENT")) throw error;
        return undefined;
    });
    const isNew = there === undefined && make !== undefined && (await made(parent.at(name), make.mode));
    const held = there ?? (await holdDirectory(parent.at(name)));
    try {
        if (make?.owner !== undefined && (isNew || (await isUnfinished(held, make))))
            await held.handle.chown(make.owner.uid, make.owner.gid);
        return held;
    } catch (error) {
        await held.close();
        throw error;
    }
}

/** Whether a kill came between the making of a directory and its change of owner: what it was made for could not use it. */
async function isUnfinished(held: HeldDirectory, make: { readonly mode: number }): Promise<boolean> {
    const { uid, mode } = await held.handle.stat();
    return uid === process.geteuid?.() && (mode & 0o7777) === make.mode;
}

/**
 * Removes a file below a directory. Nothing happens when it is not there, as it is where a link on the way to it leads to another.
 *
 * @param remove  what is done at its place; an unlink when absent
 */
export async function removeBelow(
    root: string,
    path: string,
    remove: (place: string) => Promise<void> = unlink,
): Promise<void> {
    const end = path.lastIndexOf("/");
    try {
        const held = await holdBelow(root, path.slice(0, Math.max(end, 0)));
        try {
            await remove(held.at(path.slice(end + 1)));
        } finally {
            await held.close();
        }
    } catch (error) {
        const isElsewhere = error instanceof MigrationError && error.code === "SM-E1207";
        if (!isElsewhere && !hasCode(error, "ENOENT")) throw error;
    }
}

/** Removes a directory with all that is in it, or a file; links themselves, never what they lead to, however fast they are exchanged. */
export async function removeTree(path: string): Promise<void> {
    const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
    const handle = await open(path, flags).catch((error: unknown) => {
        if (hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR") || hasCode(error, "ELOOP")) return undefined;
        throw error;
    });
    if (handle === undefined) {
        await rm(path, { force: true });
        return;
    }
    await emptyDirectory(new HeldDirectory(handle));
    await rmdir(path);
}

/** Removes all that is in a directory, closes it, and leaves it. */
export async function emptyDirectory(held: HeldDirectory, except: readonly string[] = []): Promise<void> {
    try {
        for (const name of await readdir(held.path)) if (!except.includes(name)) await removeTree(held.at(name));
    } finally {
        await held.close();
    }
}

export function unfitDirectory(where: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E1207", {
        where,
        found,
        expected: `a directory of user id ${process.geteuid?.() ?? 0}, or none`,
        cause,
    });
}

async function made(path: string, mode: number): Promise<boolean> {
    return mkdir(path, { mode }).then(
        () => true,
        (error: unknown) => {
            if (hasCode(error, "EEXIST")) return false;
            throw error;
        },
    );
}

export function hasCode(error: unknown, code: string): boolean {
    return error instanceof Error && "code" in error && error.code === code;
}
