/** Packs a directory into a tar archive, as a stream. */
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Pack } from "tar-stream";
import { MigrationError } from "../../run/errors.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { drained } from "../streams/drained.ts";
import { packing } from "./packing.ts";

export interface PackOptions {
    /** Put before every name, without a slash at its end; none by default. */
    readonly prefix?: string | undefined;
    readonly signal?: AbortSignal | undefined;
    /** Called after each file with what was packed so far. */
    readonly onProgress?: ((progress: { files: number; bytes: number }) => void) | undefined;
}

/** What ustar's eleven octal digits hold; larger sizes go into a pax header, as do long names and names beyond ASCII. */
const largestPlainSize = 8 * 1024 ** 3 - 1;
/** The format's writer keeps seconds in 32 bits. */
const latestTime = 2 ** 31 - 1;

/**
 * A directory's files and directories as a pax archive, sorted by name: the same content gives the same bytes. Owners are not kept; modes
 * are 0600 and 0700; times are kept to the second.
 *
 * @throws MigrationError SM-E0931 for links and special files, and for files that change while they are read
 */
export function packDirectory(directory: string, options: PackOptions = {}): AsyncGenerator<Buffer, void> {
    return packing((archive) => fill(archive, directory, options));
}

async function fill(archive: Pack, directory: string, options: PackOptions): Promise<void> {
    const done = { files: 0, bytes: 0 };
    const { prefix = "", signal, onProgress } = options;
    const walk = async (below: string): Promise<void> => {
        const entries = await readdir(join(directory, below), { withFileTypes: true });
        for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
            signal?.throwIfAborted();
            const path = join(below, entry.name);
            if (entry.isDirectory()) {
                await addDirectory(archive, join(prefix, path), join(directory, path));
                await walk(path);
            } else {
                done.bytes += await addFile(archive, join(prefix, path), join(directory, path));
                done.files++;
                onProgress?.(done);
            }
        }
    };
    await walk("");
}

async function addDirectory(archive: Pack, name: string, path: string): Promise<void> {
    const { mtime } = await factsOf(path);
    archive.entry({ name: `${name}/`, type: "directory", mode: 0o700, mtime });
}

/** @returns its size, bytes; waits until the archive's reader has taken all of it */
export async function addFile(archive: Pack, name: string, path: string): Promise<number> {
    const { size, mtime, isFile } = await factsOf(path);
    if (!isFile) throw unfit(path, "neither a file nor a directory");
    const header = { name, size, mode: 0o600, mtime, type: "file" as const };
    const sink = archive.entry(size > largestPlainSize ? { ...header, pax: { size: String(size) } } : header);
    const closed = once(sink, "close");
    closed.catch(() => undefined);
    let bytes = 0;
    for await (const chunk of createReadStream(path, { highWaterMark: 256 * 1024 }) as Bytes) {
        bytes += chunk.length;
        if (bytes > size) break;
        if (!sink.write(chunk)) await drained(sink);
    }
    if (bytes !== size) throw unfit(path, `it changed while it was read: ${size} bytes before, now ${bytes} or more`);
    sink.end(null);
    await closed;
    return size;
}

async function factsOf(path: string): Promise<{ size: number; mtime: Date; isFile: boolean }> {
    const found = await lstat(path);
    const seconds = Math.min(Math.max(0, Math.floor(found.mtimeMs / 1000)), latestTime);
    return { size: found.size, mtime: new Date(seconds * 1000), isFile: found.isFile() };
}

function unfit(path: string, found: string): MigrationError {
    return new MigrationError("SM-E0931", {
        where: path,
        found,
        expected: "files and directories that stay as they are",
    });
}
