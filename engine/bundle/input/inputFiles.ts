/** Reads the input: one file after the other as one stream, each with its digest. Never changes them. */
import { createHash } from "node:crypto";
import type { Stats } from "node:fs";
import { open, stat, type FileHandle } from "node:fs/promises";
import { MigrationError } from "../../run/errors.ts";
import { magicBytes } from "./magic.ts";

/** What was read of a file, or written to it. */
export interface FileDigest {
    readonly path: string;
    /** Bytes. */
    readonly bytes: number;
    /** Lower-case hexadecimal. */
    readonly sha256: string;
}

export interface ReadFilesOptions {
    readonly signal?: AbortSignal | undefined;
    /** Called with the bytes of each chunk as it is read. */
    readonly onBytes?: ((bytes: number) => void) | undefined;
}

const chunkBytes = 256 * 1024;

/**
 * What is at the path, links followed.
 *
 * @throws MigrationError SM-E0931 when there is nothing, or nothing that may be looked at
 */
export async function inputStatus(path: string): Promise<Stats> {
    return stat(path).catch((cause: unknown) => {
        throw new MigrationError("SM-E0931", {
            where: path,
            found: String(cause),
            expected: "a file or a directory",
            cause,
        });
    });
}

/**
 * The bytes of these files in this order.
 *
 * @param digests  gets an entry for each file once it was read to its end
 * @throws MigrationError SM-E0931 for what is no regular file, cannot be read, or changes while it is read
 */
export async function* readFiles(
    paths: readonly string[],
    digests: FileDigest[],
    options: ReadFilesOptions = {},
): AsyncGenerator<Buffer, void> {
    for (const path of paths) {
        const file = await openInput(path);
        try {
            const before = await file.stat();
            if (!before.isFile()) throw unfit(path, "it is not a regular file");
            const hash = createHash("sha256");
            let bytes = 0;
            for (;;) {
                options.signal?.throwIfAborted();
                const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, null);
                if (bytesRead === 0) break;
                const chunk = buffer.subarray(0, bytesRead);
                hash.update(chunk);
                bytes += bytesRead;
                options.onBytes?.(bytesRead);
                yield chunk;
            }
            const after = await file.stat();
            if (bytes !== before.size || after.size !== before.size || after.mtimeMs !== before.mtimeMs)
                throw unfit(path, `it changed while it was read: ${before.size} bytes before, ${after.size} after`);
            digests.push({ path, bytes, sha256: hash.digest("hex") });
        } finally {
            await file.close();
        }
    }
}

/** The first bytes of a file. @throws MigrationError SM-E0931 */
export async function headOf(path: string): Promise<Buffer> {
    const file = await openInput(path);
    try {
        const { bytesRead, buffer } = await file.read(Buffer.alloc(magicBytes), 0, magicBytes, 0);
        return buffer.subarray(0, bytesRead);
    } finally {
        await file.close();
    }
}

async function openInput(path: string): Promise<FileHandle> {
    try {
        return await open(path, "r");
    } catch (error) {
        throw unfit(path, error instanceof Error ? error.message : String(error), error);
    }
}

function unfit(path: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0931", {
        where: path,
        found,
        expected: "a file that can be read to its end",
        cause,
    });
}
