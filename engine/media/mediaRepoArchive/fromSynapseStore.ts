/** Writes the media of a Synapse homeserver as an archive that matrix-media-repo's importer (`gdpr_import`) takes. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rm, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { drained } from "../../bundle/streams/drained.ts";
import { inSnapshot, type Client } from "../../postgres/connection.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Listed } from "../completeness.ts";
import type { Machine } from "../../machines/machine.ts";
import { placeOn } from "../../machines/placeOn.ts";
import { contentAhead, filesAhead, type Pour } from "../contentAhead.ts";
import { inOrder } from "../inOrder.ts";
import { openStore, type ReadStore } from "../readStore.ts";
import { ArchiveParts } from "./archiveParts.ts";
import { archivedName } from "./archivedName.ts";
import { localMediaRows, type ReadMediaRow } from "./localMediaTable.ts";
import { manifestFrame, manifestLine, manifestName } from "./archiveManifest.ts";
import { newListed, note, serverOfUser, type ArchivedMedia, type FilesDone } from "./mediaArchive.ts";
import { storePathOf } from "./storePaths.ts";
import { isPreview, storedFile, surveyStore, type StoreSurvey } from "./storeSurvey.ts";

export interface WriteMediaArchiveOptions {
    readonly serverName: string;
    /** The source's store. It must not change meanwhile: the source is fenced, or the store is a copy. */
    readonly mediaStore: string;
    /** That the store is on. */
    readonly machine: Machine;
    /** Where the parts go; made with mode 0700 when it is not there. What lies in it is not encrypted. */
    readonly destination: string;
    /** Content of a part before compression; 104857600 when absent, as `export_synapse_for_import` has it. A longer file gets its own. */
    readonly partBytes?: number;
    /** What to do with media that has no file; refuse when absent. */
    readonly missing?: "refuse" | "report";
    /** Of a list of missing media that is no reason to refuse; see `acceptanceOf`. */
    readonly acceptMissing?: string | undefined;
    readonly signal?: AbortSignal;
    readonly onProgress?: FilesDone;
}

export interface WrittenMediaArchive {
    /** Names of the files in the destination, in their order; the manifest's comes last. */
    readonly parts: readonly string[];
    /** Media in the archive, and their bytes. */
    readonly media: number;
    readonly bytes: number;
    /** Bytes of the longest: matrix-media-repo refuses to import what is longer than its `uploads.maxBytes`. */
    readonly longestBytes: number;
    /** Media that was announced and never uploaded: there is nothing to export. */
    readonly pending: number;
    /** Previews of web pages among the media. */
    readonly previews: number;
    /** Previews that Synapse has thrown away already. */
    readonly previewsWithoutFile: number;
    /** Media ids that are not in the archive because they have no file. */
    readonly missing: Listed;
    /**
     * Media ids that are in the archive and must not be served: matrix-media-repo's importer serves them again until they are quarantined
     * there. Our own reader keeps the quarantine.
     */
    readonly quarantined: Listed;
    /** Media ids whose uploader is no user of the homeserver: written without one, as the importer would pass over them. */
    readonly withoutUploader: Listed;
}

const defaultPartBytes = 104_857_600;

/**
 * Exports what `export_synapse_for_import` exports: all local media, quarantined media and previews of web pages too. Other than that
 * program it reports what has no file and goes on to the manifest, and passes over media that was never uploaded.
 *
 * @param client  connected to the source's database, in no transaction; one snapshot is read
 * @throws MigrationError SM-E0966 when the destination is not empty, SM-E0962 when files are missing, of another length or SHA-256 than the
 *     database says, or change meanwhile, SM-E0967 when another list of missing media is accepted, SM-E0963 when there is no store. Nothing is left in the destination then
 */
export async function writeMediaArchive(
    client: Client,
    options: WriteMediaArchiveOptions,
): Promise<WrittenMediaArchive> {
    const store = await openStore(options.machine, options.mediaStore, ["local_content", "url_cache"]);
    await requireEmpty(options.destination);
    return inSnapshot(client, undefined, async () => {
        const { missing = "refuse", acceptMissing, signal } = options;
        const survey = await surveyStore(client, store, { missing, acceptMissing, signal });
        try {
            return await writeParts(client, store, options, survey);
        } catch (error) {
            for (const name of await readdir(options.destination)) await rm(join(options.destination, name));
            throw error;
        }
    });
}

async function requireEmpty(directory: string): Promise<void> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const found = await readdir(directory);
    if (found.length === 0) return;
    const first = found.slice(0, 3).join(", ");
    throw new MigrationError("SM-E0966", { where: directory, found: `${found.length} entries, ${first} among them` });
}

async function writeParts(
    client: Client,
    store: ReadStore,
    options: WriteMediaArchiveOptions,
    survey: StoreSurvey,
): Promise<WrittenMediaArchive> {
    const { serverName, destination, signal } = options;
    const parts = new ArchiveParts(destination, options.partBytes ?? defaultPartBytes, signal);
    const spool = join(destination, `${manifestName}.partial`);
    const manifest = await open(spool, "wx", 0o600);
    const [quarantined, withoutUploader] = [newListed(), newListed()];
    const createdTs = Date.now();
    let [media, bytes, longestBytes, previews, absent] = [0, 0, 0, 0, 0];
    try {
        const { start, end } = manifestFrame(serverName, createdTs);
        await manifest.write(start);
        const begin = async (row: ReadMediaRow) => {
            const path = row.mediaLength === null ? undefined : storePathOf(row.mediaId, row.urlCache);
            const file = path === undefined ? undefined : await storedFile(store, path);
            const isRight = file?.size === row.mediaLength;
            const pour = file !== undefined && isRight ? await contentAhead(store.machine, file, signal) : undefined;
            return { row, file, pour };
        };
        const begun = inOrder(localMediaRows(client), filesAhead(store.machine), begin);
        for await (const { row, file, pour } of begun) {
            signal?.throwIfAborted();
            if (row.mediaLength === null) continue;
            if (file === undefined) {
                absent++;
                continue;
            }
            const { size } = file;
            const where = placeOn(store.machine, file.path);
            if (pour === undefined) throw changedMeanwhile(where, `${size} of ${row.mediaLength} bytes`);
            const item = itemOf(row, serverName);
            const fileName = archivedName({ ...item, twin: row.twin });
            const sha256 = await addFile(parts, { where, pour }, { fileName, size, row });
            await manifest.write(
                `${media === 0 ? "" : ","}\n${manifestLine(fileName, { ...item, sizeBytes: size, sha256 })}`,
            );
            media++;
            bytes += size;
            longestBytes = Math.max(longestBytes, size);
            if (isPreview(row)) previews++;
            if (row.quarantinedBy !== null) note(quarantined, row.mediaId);
            if (row.userId !== null && row.userId !== "" && item.uploader === undefined)
                note(withoutUploader, row.mediaId);
            options.onProgress?.({ files: media, bytes });
        }
        const lost = absent - survey.missing.count - survey.previewsWithoutFile;
        if (lost !== 0) throw changedMeanwhile(placeOn(store.machine, store.root), `${lost} files less than before`);
        await manifest.write(end);
        await addManifest(parts, manifest, spool, createdTs);
    } catch (error) {
        await parts.abandon();
        throw error;
    } finally {
        await manifest.close();
    }
    await rm(spool);
    const counts = { media, bytes, longestBytes, previews };
    return { parts: parts.names, ...counts, ...survey, quarantined, withoutUploader };
}

function itemOf(row: ReadMediaRow, serverName: string): Omit<ArchivedMedia, "path" | "sizeBytes" | "sha256"> {
    const { quarantinedBy, safeFromQuarantine, authenticated, urlCache, lastAccessTs } = row;
    const uploader = row.userId ?? "";
    return {
        origin: serverName,
        mediaId: row.mediaId,
        uploadName: row.uploadName ?? undefined,
        contentType: row.mediaType ?? undefined,
        uploader: serverOfUser(uploader) === serverName ? uploader : undefined,
        createdTs: row.createdTs ?? 0,
        synapse: { quarantinedBy, safeFromQuarantine, authenticated, urlCache, lastAccessTs },
    };
}

/** @returns the SHA-256 of what went into the archive */
async function addFile(
    parts: ArchiveParts,
    { where, pour }: { readonly where: string; readonly pour: Pour },
    { fileName, size, row }: { readonly fileName: string; readonly size: number; readonly row: ReadMediaRow },
): Promise<string> {
    const hash = createHash("sha256");
    const content = new PassThrough();
    const poured = pour(async (chunk) => {
        if (content.destroyed) throw new Error("the archive takes no more");
        hash.update(chunk);
        // The archive keeps what it is given for a while; who pours does not.
        if (!content.write(Buffer.from(chunk))) await drained(content);
    });
    poured.then(
        () => content.end(),
        (error: unknown) => content.destroy(error instanceof Error ? error : new Error(String(error))),
    );
    const mtime = row.createdTs ?? 0;
    try {
        await parts.add({ name: fileName, sizeBytes: size, mtime, content });
    } catch (cause) {
        // What tar-stream says of more or fewer bytes than the header promised.
        if (!(cause instanceof Error && /size mismatch/i.test(cause.message))) throw cause;
        throw changedMeanwhile(where, "another size", cause);
    } finally {
        content.destroy();
        await poured.catch(() => undefined);
    }
    const sha256 = hash.digest("hex");
    if (row.sha256 === null || row.sha256 === sha256) return sha256;
    throw new MigrationError("SM-E0962", {
        where,
        found: `SHA-256 ${sha256}`,
        expected: `SHA-256 ${row.sha256}`,
    });
}

function changedMeanwhile(where: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0962", {
        where,
        found: `it changed while the archive was written: ${found}`,
        fix: "stop the homeserver first, or export from a copy of the store",
        cause,
    });
}

async function addManifest(parts: ArchiveParts, manifest: FileHandle, path: string, mtime: number): Promise<void> {
    const { size } = await manifest.stat();
    await parts.finish({ name: manifestName, sizeBytes: size, mtime, content: createReadStream(path) });
}
