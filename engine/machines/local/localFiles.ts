/** Files of this machine. */
import { createHash } from "node:crypto";
import { constants, type BigIntStats } from "node:fs";
import { lstat, open, readdir, readlink, realpath, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { writePrivateFile } from "../../run/atomicFile.ts";
import { hasCode } from "../../run/heldDirectory.ts";
import type {
    FileContent,
    FileFacts,
    MachineFiles,
    PouredFile,
    ReadFile,
    WalkedEntry,
    WriteOptions,
} from "../machine.ts";

const chunkBytes = 256 * 1024;

export const localFiles: MachineFiles = {
    stat: (path) => ifThere(async () => factsOf(await stat(path, { bigint: true }))),
    lstat: (path) => ifThere(async () => factsOf(await lstat(path, { bigint: true }))),
    realpath: (path) => ifThere(() => realpath(path)),
    list: (directory) => namesIn(directory),
    readLink: (path) => ifThere(() => readlink(path), "EINVAL"),
    links,
    read,
    pour,
    hash,
    walk: (root, top, signal) => walk(root, top, [], signal),
    write,
    remove,
};

async function namesIn(directory: string): Promise<string[]> {
    const names = await readdir(directory, { encoding: "buffer" });
    return names.sort((a, b) => Buffer.compare(a, b)).map(nameOf);
}

/** Of bytes that are no UTF-8, each as the lone surrogate that Python makes of it. */
function nameOf(bytes: Buffer): string {
    const text = bytes.toString("utf8");
    if (Buffer.from(text, "utf8").equals(bytes)) return text;
    let name = "";
    for (let at = 0; at < bytes.length;) {
        const length = [1, 2, 3, 4].find(
            (size) =>
                !bytes
                    .subarray(at, at + size)
                    .toString("utf8")
                    .includes("\ufffd"),
        );
        name +=
            length === undefined
                ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0))
                : bytes.subarray(at, at + length).toString("utf8");
        at += length ?? 1;
    }
    return name;
}

async function links(directory: string): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>();
    await Promise.all(
        (await readdir(directory)).map(async (name) => {
            const to = await readlink(join(directory, name)).catch(() => undefined);
            if (to !== undefined) found.set(name, to);
        }),
    );
    return found;
}

async function read(path: string, options: { atMost: number; followLinks?: boolean }): Promise<ReadFile> {
    const flags =
        constants.O_RDONLY | constants.O_NONBLOCK | (options.followLinks === false ? constants.O_NOFOLLOW : 0);
    const file = await open(path, flags);
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
export function notRegular(path: string, kind: FileFacts["kind"]): Error {
    const code = kind === "directory" ? "EISDIR" : "ENXIO";
    return Object.assign(new Error(`${code}: not a regular file, open '${path}'`), { code });
}

async function pour(
    path: string,
    take: (chunk: Buffer) => Promise<void> | void,
    signal?: AbortSignal,
): Promise<PouredFile> {
    const file = await open(await realpath(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
        const before = factsOf(await file.stat({ bigint: true }));
        if (before.kind !== "file") throw notRegular(path, before.kind);
        const buffer = Buffer.allocUnsafe(chunkBytes);
        for (;;) {
            signal?.throwIfAborted();
            const { bytesRead } = await file.read(buffer, 0, chunkBytes, null);
            if (bytesRead === 0) break;
            await take(buffer.subarray(0, bytesRead));
        }
        return { before, after: factsOf(await file.stat({ bigint: true })) };
    } finally {
        await file.close();
    }
}

async function hash(path: string, signal?: AbortSignal): Promise<FileContent> {
    const digest = createHash("sha256");
    let size = 0;
    await pour(
        path,
        (chunk) => {
            digest.update(chunk);
            size += chunk.length;
        },
        signal,
    );
    return { size, sha256: digest.digest("hex") };
}

async function* walk(
    root: string,
    path: string,
    above: readonly string[],
    signal: AbortSignal | undefined,
): AsyncGenerator<WalkedEntry> {
    signal?.throwIfAborted();
    const entry = await entryAt(root, path);
    if (entry === undefined) return;
    if (entry.error !== undefined || entry.facts.kind !== "directory") {
        yield entry;
        return;
    }
    if (above.includes(entry.facts.identity)) {
        yield { ...entry, error: "ELOOP" };
        return;
    }
    let names: string[];
    try {
        names = await namesIn(join(root, path));
    } catch (error) {
        if (!hasCode(error, "ENOENT")) yield { ...entry, error: codeOf(error) };
        return;
    }
    yield entry;
    for (const name of names)
        yield* walk(root, path === "" ? name : `${path}/${name}`, [...above, entry.facts.identity], signal);
}

async function entryAt(root: string, path: string): Promise<WalkedEntry | undefined> {
    const place = join(root, path);
    let own: FileFacts | undefined;
    try {
        own = factsOf(await lstat(place, { bigint: true }));
        if (own.kind !== "link") return { path, facts: own };
        const linksTo = await realpath(place);
        return { path, facts: factsOf(await stat(linksTo, { bigint: true })), linksTo };
    } catch (error) {
        const isGone =
            hasCode(error, "ENOENT") &&
            (own === undefined || (await lstat(place).catch(() => undefined)) === undefined);
        return isGone ? undefined : { path, facts: own ?? noFacts, error: codeOf(error) };
    }
}

const noFacts: FileFacts = {
    ...{ kind: "other", size: 0, mtime: "0", mode: 0, uid: 0, gid: 0, blocks: 0, links: 0, identity: "" },
};

async function write(path: string, content: string | Uint8Array, options: WriteOptions = {}): Promise<void> {
    const before = await localFiles.stat(path);
    const owner = options.owner ?? before;
    const mode = options.mode ?? before?.mode;
    await writePrivateFile(path, content, {
        ...(owner === undefined ? {} : { owner: { uid: owner.uid, gid: owner.gid } }),
        ...(mode === undefined ? {} : { mode }),
    });
}

async function remove(path: string): Promise<void> {
    const facts = await localFiles.lstat(path);
    await (facts?.kind === "directory" ? rmdir(path) : rm(path, { force: true }));
}

function factsOf(stats: BigIntStats): FileFacts {
    const kind = stats.isFile()
        ? "file"
        : stats.isDirectory()
          ? "directory"
          : stats.isSymbolicLink()
            ? "link"
            : "other";
    return {
        kind,
        size: Number(stats.size),
        mtime: stats.mtimeNs.toString(),
        mode: Number(stats.mode & 0o7777n),
        uid: Number(stats.uid),
        gid: Number(stats.gid),
        blocks: Number(stats.blocks),
        links: Number(stats.nlink),
        identity: `${stats.dev}:${stats.ino}`,
    };
}

async function ifThere<T>(look: () => Promise<T>, ...further: readonly string[]): Promise<T | undefined> {
    try {
        return await look();
    } catch (error) {
        if (["ENOENT", "ENOTDIR", ...further].some((code) => hasCode(error, code))) return undefined;
        throw error;
    }
}

function codeOf(error: unknown): string {
    return error instanceof Error && "code" in error ? String(error.code) : "EIO";
}
