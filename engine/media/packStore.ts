/** Packs the folders of a media store that move, as a stream of tar, and hashes every file on its way. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import type { Pack } from "tar-stream";
import { placeOn } from "../machines/placeOn.ts";
import { contentAhead, filesAhead, type Pour } from "./contentAhead.ts";
import { inOrder } from "./inOrder.ts";
import type { ReadStore } from "./readStore.ts";
import { scanStore, type ScanNotes, type StoredFile } from "./scan.ts";
import type { HashedFile } from "./treeDigest.ts";
import { MigrationError } from "../run/errors.ts";
import { drained } from "../bundle/streams/drained.ts";
import { packing } from "../bundle/archives/packing.ts";

export interface PackMediaOptions {
    readonly store: ReadStore;
    readonly folders: readonly string[];
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

/**
 * Regular files only, sorted by name; links that stay in the store are packed as what they lead to.
 *
 * @throws MigrationError SM-E0963 for what is no store, SM-E0962 for a file that changes while it is read
 */
export function packMediaStore(options: PackMediaOptions): AsyncGenerator<Buffer, void> {
    return packing((archive) => fill(archive, options));
}

async function fill(archive: Pack, options: PackMediaOptions): Promise<void> {
    const { store, folders, notes, signal } = options;
    const begin = async (file: StoredFile): Promise<{ file: StoredFile; pour: Pour }> => {
        const place = { path: join(store.root, file.path), size: file.size };
        return { file, pour: await contentAhead(store.machine, place, signal) };
    };
    for await (const { file, pour } of inOrder(scanStore(store, folders, notes), filesAhead(store.machine), begin)) {
        signal.throwIfAborted();
        options.onFile(await add(archive, file, pour, options));
    }
}

async function add(
    archive: Pack,
    { path, size, mtime }: StoredFile,
    pour: Pour,
    { prefix, store }: PackMediaOptions,
): Promise<HashedFile> {
    const header = {
        name: `${prefix}/${path}`,
        size,
        mode: 0o600,
        mtime: new Date(Math.max(0, Math.floor(Number(BigInt(mtime) / 1_000_000_000n)) * 1000)),
        type: "file" as const,
    };
    const sink = archive.entry(size > largestPlainSize ? { ...header, pax: { size: String(size) } } : header);
    const closed = once(sink, "close");
    closed.catch(() => undefined);
    const hash = createHash("sha256");
    const changed = (found: string): MigrationError =>
        new MigrationError("SM-E0962", {
            where: placeOn(store.machine, join(store.root, path)),
            found: `it changed while it was read: ${size} bytes before, now ${found}`,
            expected: "a store that nobody writes to",
        });
    let bytes = 0;
    await pour(async (chunk) => {
        bytes += chunk.length;
        if (bytes > size) throw changed("more");
        hash.update(chunk);
        // The archive keeps what it is given for a while; who pours does not.
        if (!sink.write(Buffer.from(chunk))) await drained(sink);
    });
    if (bytes !== size) throw changed(String(bytes));
    sink.end(null);
    await closed;
    return { path, size, sha256: hash.digest("hex") };
}
