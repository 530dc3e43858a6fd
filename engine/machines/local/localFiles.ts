/** Files of this machine. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import {
    copyFile,
    lstat,
    open,
    readdir,
    readlink,
    realpath,
    rename,
    rm,
    rmdir,
    stat,
    unlink,
    type FileHandle,
} from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writePrivateFile } from "../../run/atomicFile.ts";
import { hasCode, holdBelow, removeBelow } from "../../run/heldDirectory.ts";
import type {
    FileContent,
    FileFacts,
    MachineFiles,
    PouredFile,
    PutOptions,
    ReadFile,
    WriteOptions,
} from "../machine.ts";
import { factsOf } from "./facts.ts";
import { walkLocally } from "./localWalk.ts";
import { nameOf, pathOf } from "./names.ts";

const chunkBytes = 256 * 1024;
/** Of files that say they have no bytes, as those in /proc do. */
const smallestChunk = 4096;

export const localFiles: MachineFiles = {
    stat: (path) => ifThere(async () => factsOf(await stat(pathOf(path), { bigint: true }))),
    lstat: (path) => ifThere(async () => factsOf(await lstat(pathOf(path), { bigint: true }))),
    realpath: (path) => ifThere(async () => nameOf(await realpath(pathOf(path), { encoding: "buffer" }))),
    list: namesIn,
    readLink: (path) => ifThere(async () => nameOf(await readlink(pathOf(path), { encoding: "buffer" })), "EINVAL"),
    links,
    read,
    pour,
    hash,
    walk: walkLocally,
    write,
    put,
    discard,
    remove,
};

async function namesIn(directory: string): Promise<string[]> {
    const names = await readdir(pathOf(directory), { encoding: "buffer" });
    return names.sort((a, b) => Buffer.compare(a, b)).map(nameOf);
}

async function links(directory: string): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    await Promise.all(
        (await namesIn(directory)).map(async (name) => {
            const place = pathOf(join(directory, name));
            const to = await readlink(place, { encoding: "buffer" }).catch(() => undefined);
            if (to !== undefined) found.set(name, nameOf(to));
        }),
    );
    return found;
}

async function read(path: string, options: { atMost: number; followLinks?: boolean }): Promise<ReadFile> {
    const flags =
        constants.O_RDONLY | constants.O_NONBLOCK | (options.followLinks === false ? constants.O_NOFOLLOW : 0);
    const file = await open(pathOf(path), flags);
    try {
        const facts = factsOf(await file.stat({ bigint: true }));
        if (facts.kind !== "file") throw notRegular(path, facts.kind);
        // Files in /proc say that they have no bytes, and any file may have grown meanwhile.
        const buffer = Buffer.alloc(options.atMost + 1);
        let length = 0;
        for (;;) {
            const { bytesRead } = await file.read(buffer, length, buffer.length - length, null);
            if (bytesRead === 0) return { content: buffer.subarray(0, length), facts };
            length += bytesRead;
        }
    } finally {
        await file.close();
    }
}

/** As the system itself says it of what cannot be read as a file. */
function notRegular(path: string, kind: FileFacts["kind"]): Error {
    const code = kind === "directory" ? "EISDIR" : "ENXIO";
    return Object.assign(new Error(`${code}: not a regular file, open '${path}'`), { code });
}

async function pour(
    path: string,
    take: (chunk: Buffer) => Promise<void> | void,
    signal?: AbortSignal,
): Promise<PouredFile> {
    return readThrough(path, (size) => Buffer.allocUnsafeSlow(size), take, signal);
}

/** @param room  gives a place of so many bytes for the next chunk */
async function readThrough(
    path: string,
    room: (bytes: number) => Buffer,
    take: (chunk: Buffer) => Promise<void> | void,
    signal?: AbortSignal,
): Promise<PouredFile> {
    const file = await openResolved(pathOf(path));
    try {
        const before = factsOf(await file.stat({ bigint: true }));
        if (before.kind !== "file") throw notRegular(path, before.kind);
        // One more than it has: the end of a small file is met in the same place.
        const bytes = Math.min(chunkBytes, Math.max(before.size + 1, smallestChunk));
        let buffer = room(bytes);
        for (let filled = 0; ;) {
            signal?.throwIfAborted();
            const { bytesRead } = await file.read(buffer, filled, buffer.length - filled, null);
            if (bytesRead > 0) await take(buffer.subarray(filled, filled + bytesRead));
            else return { before, after: factsOf(await file.stat({ bigint: true })) };
            filled += bytesRead;
            if (filled === buffer.length) [buffer, filled] = [room(bytes), 0];
        }
    } finally {
        await file.close();
    }
}

/** A link is resolved once, and what it leads to opened without following any other. */
async function openResolved(path: string | Buffer): Promise<FileHandle> {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    try {
        return await open(path, flags);
    } catch (error) {
        if (!hasCode(error, "ELOOP")) throw error;
    }
    return open(await realpath(path, { encoding: "buffer" }), flags);
}

async function hash(path: string, signal?: AbortSignal): Promise<FileContent> {
    const digest = createHash("sha256");
    let size = 0;
    let place: Buffer | undefined;
    await readThrough(
        path,
        // Nobody keeps what is hashed.
        (bytes) => (place ??= Buffer.allocUnsafe(bytes)),
        (chunk) => {
            digest.update(chunk);
            size += chunk.length;
        },
        signal,
    );
    return { size, sha256: digest.digest("hex") };
}

async function write(path: string, content: string | Uint8Array, options: WriteOptions = {}): Promise<void> {
    const before = await localFiles.stat(path);
    const owner = options.owner ?? before;
    const mode = options.mode ?? before?.mode;
    await writePrivateFile(path, content, {
        ...(owner === undefined ? {} : { owner: { uid: owner.uid, gid: owner.gid } }),
        ...(mode === undefined ? {} : { mode }),
    });
}

async function put(from: string, root: string, to: string, how: PutOptions): Promise<void> {
    const { mode, folderMode, owner, mtime } = how;
    const folder = await holdBelow(root, dirname(to), { mode: folderMode, owner });
    const [place, partial] = [folder.at(basename(to)), folder.at(`${basename(to)}.synapse-migration-partial`)];
    try {
        await rm(partial, { force: true });
        await copyFile(from, partial, constants.COPYFILE_EXCL);
        const copy = await open(partial, constants.O_RDWR | constants.O_NOFOLLOW);
        try {
            await copy.chown(owner.uid, owner.gid);
            await copy.chmod(mode);
            await copy.utimes(Number(mtime) / 1e9, Number(mtime) / 1e9);
            await copy.sync();
        } finally {
            await copy.close();
        }
        await rename(partial, place);
    } finally {
        await folder.close();
    }
}

async function discard(root: string, path: string): Promise<void> {
    await ifThere(() =>
        removeBelow(root, path, async (place) => {
            const isFolder = (await lstat(place)).isDirectory();
            await (isFolder ? rmdir(place) : unlink(place));
        }),
    );
}

async function remove(path: string): Promise<void> {
    const facts = await localFiles.lstat(path);
    await (facts?.kind === "directory" ? rmdir(pathOf(path)) : rm(pathOf(path), { force: true }));
}

async function ifThere<T>(look: () => Promise<T>, ...further: readonly string[]): Promise<T | undefined> {
    try {
        return await look();
    } catch (error) {
        if (["ENOENT", "ENOTDIR", ...further].some((code) => hasCode(error, code))) return undefined;
        throw error;
    }
}
