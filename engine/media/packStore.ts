/** Packs the folders of a media store that move, as a stream of tar, and hashes every file on its way. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { Pack } from "tar-stream";
import type { LinkedFolder } from "./linkedFolders.ts";
import { scanStore, type ScanNotes, type StoredFile } from "./scan.ts";
import type { HashedFile } from "./treeDigest.ts";
import { MigrationError } from "../run/errors.ts";
import { drained } from "../bundle/streams/drained.ts";
import { packing } from "../bundle/archives/packing.ts";

export interface PackMediaOptions {
    /** As `storeRoot` gives it. */
    readonly root: string;
    readonly folders: readonly string[];
    /** Of them, those that lie elsewhere. */
    readonly linked: readonly LinkedFolder[];
    /** Put before every name, without a slash at its end. */
    readonly prefix: string;
    /** Filled with what is not packed. */
    readonly notes: ScanNotes;
    readonly signal: AbortSignal;
    /** Told of each file once it is packed, in their order in the archive. */
    readonly onFile: (file: HashedFile) => void;
}

/** What ustar's eleven octal digits hold; larger sizes go into a pax header. */
const largestPlainSize = 8 * 1024 ** 3 - 1;
const chunkBytes = 256 * 1024;

/**
 * Regular files only, sorted by name; links that stay in the store are packed as what they lead to.
 *
 * @throws MigrationError SM-E0963 for what is no store, SM-E0962 for a file that changes while it is read
 */
export function packMediaStore(options: PackMediaOptions): AsyncGenerator<Buffer, void> {
    return packing((archive) => fill(archive, options));
}

async function fill(archive: Pack, options: PackMediaOptions): Promise<void> {
    const { root, folders, notes, signal } = options;
    for await (const file of scanStore(root, folders, notes, { linked: options.linked })) {
        signal.throwIfAborted();
        options.onFile(await add(archive, file, options));
    }
}

async function add(archive: Pack, { path, size, mtime }: StoredFile, options: PackMediaOptions): Promise<HashedFile> {
    const header = {
        name: `${options.prefix}/${path}`,
        size,
        mode: 0o600,
        mtime: new Date(Math.max(0, Math.floor(Number(BigInt(mtime) / 1_000_000_000n)) * 1000)),
        type: "file" as const,
    };
    const sink = archive.entry(size > largestPlainSize ? { ...header, pax: { size: String(size) } } : header);
    const closed = once(sink, "close");
    closed.catch(() => undefined);
    const hash = createHash("sha256");
    const file = await open(join(options.root, path), constants.O_RDONLY);
    let bytes = 0;
    try {
        for (;;) {
            options.signal.throwIfAborted();
            const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, null);
            if (bytesRead === 0) break;
            const chunk = buffer.subarray(0, bytesRead);
            bytes += bytesRead;
            if (bytes > size) break;
            hash.update(chunk);
            if (!sink.write(chunk)) await drained(sink);
        }
    } finally {
        await file.close();
    }
    if (bytes !== size)
        throw new MigrationError("SM-E0962", {
            where: join(options.root, path),
            found: `it changed while it was read: ${size} bytes before, now ${bytes > size ? "more" : bytes}`,
            expected: "a store that nobody writes to",
        });
    sink.end(null);
    await closed;
    return { path, size, sha256: hash.digest("hex") };
}
