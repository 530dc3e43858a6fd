/** Writes a checked archive again as parts that matrix-media-repo's importer takes: nothing but what was checked gets to it. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import { ArchiveParts } from "./archiveParts.ts";
import { manifestFrame, manifestLine, manifestName } from "./archiveManifest.ts";
import type { ArchivedMedia, FilesDone, MediaArchive } from "./mediaArchive.ts";

const partBytes = 104_857_600;

/**
 * Of version 2, whatever version it had. The names of its files stay.
 *
 * @param destination  made for it; empty
 * @returns names of the parts in their order; the manifest's comes last
 * @throws MigrationError SM-E0962 when a file changes meanwhile
 */
export async function repackArchive(
    archive: MediaArchive,
    destination: string,
    { signal, onProgress }: { readonly signal?: AbortSignal; readonly onProgress?: FilesDone } = {},
): Promise<readonly string[]> {
    await mkdir(destination, { recursive: true, mode: 0o700 });
    const parts = new ArchiveParts(destination, partBytes, signal);
    const spool = join(destination, `${manifestName}.partial`);
    const manifest = await open(spool, "wx", 0o600);
    const mtime = Date.now();
    let [files, bytes] = [0, 0];
    try {
        const { start, end } = manifestFrame(archive.entityId, mtime);
        await manifest.write(start);
        for (const item of archive.items) {
            signal?.throwIfAborted();
            const name = basename(item.path);
            await parts.add({ name, sizeBytes: item.sizeBytes, mtime: item.createdTs, content: unchanged(item) });
            await manifest.write(`${files === 0 ? "" : ","}\n${manifestLine(name, item)}`);
            files++;
            bytes += item.sizeBytes;
            onProgress?.({ files, bytes });
        }
        await manifest.write(end);
        const { size } = await manifest.stat();
        await parts.finish({ name: manifestName, sizeBytes: size, mtime, content: createReadStream(spool) });
    } catch (error) {
        await parts.abandon();
        throw error;
    } finally {
        await manifest.close();
        await rm(spool, { force: true });
    }
    return parts.names;
}

async function* unchanged({ path, sha256 }: ArchivedMedia): AsyncGenerator<Buffer> {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) {
        if (!Buffer.isBuffer(chunk)) throw new TypeError("a stream of bytes");
        hash.update(chunk);
        yield chunk;
    }
    const found = hash.digest("hex");
    if (found === sha256) return;
    throw new MigrationError("SM-E0962", {
        where: path,
        found: `it changed after the archive was checked: SHA-256 ${found}`,
        expected: `SHA-256 ${sha256}`,
    });
}
