/** What tells one input from another of the same name and size, without reading all of it. */
import { createHash, type Hash } from "node:crypto";
import { lstat, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { count, sha256 } from "../../../contract/shared.ts";
import { inputStatus } from "./inputFiles.ts";

/** A file, or a directory with all that is in it. */
export const inputEvidence = z.strictObject({
    path: z.string(),
    bytes: count,
    files: count,
    /** Of names, sizes, and the beginning and the end of each file; of a directory of very many files, of some of them. */
    digest: sha256,
});
export type InputEvidence = z.infer<typeof inputEvidence>;

/** Compressed and encrypted files are other ones from their first bytes on, and dumps say at their end what they are. */
const edgeBytes = 1024 * 1024;
/** A media store has millions of files; a dump in directory format has a table of contents and a file a table. */
const mostFilesRead = 512;

/**
 * Takes no notice of times, which a copy does not keep.
 *
 * @throws MigrationError SM-E0931 when it is not there
 */
export async function readInputEvidence(path: string): Promise<InputEvidence> {
    const status = await inputStatus(path);
    const hash = createHash("sha256");
    if (!status.isDirectory()) {
        await addEdges(hash, path, status.size);
        return { path, bytes: status.size, files: 1, digest: hash.digest("hex") };
    }
    const members = await filesBelow(path);
    let bytes = 0;
    for (const [at, { name, size }] of members.entries()) {
        bytes += size;
        hash.update(JSON.stringify([name, size]));
        if (at < mostFilesRead) await addEdges(hash, join(path, name), size);
    }
    return { path, bytes, files: members.length, digest: hash.digest("hex") };
}

async function filesBelow(directory: string): Promise<{ readonly name: string; readonly size: number }[]> {
    const members: { name: string; size: number }[] = [];
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const file = join(entry.parentPath, entry.name);
        members.push({ name: file.slice(directory.length), size: (await lstat(file)).size });
    }
    return members.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** All of a file that is not longer than both. */
async function addEdges(hash: Hash, path: string, size: number): Promise<void> {
    const file = await open(path, "r");
    try {
        const begin = Math.min(size, edgeBytes);
        const end = Math.max(begin, size - edgeBytes);
        for (const [from, to] of [
            [0, begin],
            [end, size],
        ] as const) {
            const { bytesRead, buffer } = await file.read(Buffer.alloc(to - from), 0, to - from, from);
            hash.update(buffer.subarray(0, bytesRead));
        }
        hash.update(String(size));
    } finally {
        await file.close();
    }
}
