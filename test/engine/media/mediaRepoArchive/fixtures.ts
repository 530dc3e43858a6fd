/** Media archives and filled media stores for tests. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { buffer } from "node:stream/consumers";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";
import type { Client } from "../../../../engine/postgres/connection.ts";
import { insertMediaRows, type LocalMediaRow } from "../../../../engine/media/mediaRepoArchive/toSynapseStore.ts";
import { storePathOf } from "../../../../engine/media/mediaRepoArchive/storePaths.ts";

export const serverName = "rehearsal.test";

export const sha256Of = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex");

export async function withDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = await mkdtemp(join(tmpdir(), "media-archive-"));
    try {
        return await work(directory);
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}

/** An entry of a manifest as matrix-media-repo writes it. */
export type ManifestFields = Record<string, unknown>;

export function entryOf(mediaId: string, content: string | Buffer, more: ManifestFields = {}): ManifestFields {
    return {
        name: `${mediaId}.txt`,
        file_name: `${serverName}__${mediaId}.txt`,
        size_bytes: Buffer.byteLength(content),
        content_type: "text/plain",
        s3_url: "",
        sha256: sha256Of(content),
        origin: serverName,
        media_id: mediaId,
        created_ts: 1_600_000_000_000,
        uploader: `@alice:${serverName}`,
        ...more,
    };
}

/** An unpacked archive of version 2. Entries are keyed by media id; values are content, or content with changed fields. */
export async function writeArchive(
    directory: string,
    media: Readonly<Record<string, string | { readonly content: string; readonly fields: ManifestFields }>>,
    head: ManifestFields = {},
): Promise<void> {
    const entries: ManifestFields = {};
    for (const [mediaId, value] of Object.entries(media)) {
        const { content, fields } = typeof value === "string" ? { content: value, fields: {} } : value;
        entries[`mxc://${serverName}/${mediaId}`] = entryOf(mediaId, content, fields);
        await writeFile(join(directory, `${serverName}__${mediaId}.txt`), content);
    }
    const manifest = { version: 2, entity_id: serverName, created_ts: 1_700_000_000_000, media: entries, ...head };
    await writeFile(join(directory, "manifest.json"), JSON.stringify(manifest));
}

/** Unpacks every part of an archive, as a careful extractor would. */
export async function unpack(parts: string, to: string): Promise<void> {
    await mkdir(to, { recursive: true });
    for (const part of await readdir(parts)) {
        const entries = extract();
        createReadStream(join(parts, part)).pipe(createGunzip()).pipe(entries);
        for await (const entry of entries) {
            await writeFile(join(to, entry.header.name), await buffer(entry), { flag: "wx" });
        }
    }
}

export function rowOf(mediaId: string, content: string | Buffer, more: Partial<LocalMediaRow> = {}): LocalMediaRow {
    return {
        mediaId,
        mediaType: "text/plain",
        mediaLength: Buffer.byteLength(content),
        createdTs: 1_600_000_000_000,
        uploadName: `${mediaId}.txt`,
        userId: `@alice:${serverName}`,
        quarantinedBy: null,
        urlCache: null,
        lastAccessTs: null,
        safeFromQuarantine: false,
        authenticated: false,
        sha256: sha256Of(content),
        ...more,
    };
}

async function putFile(store: string, row: LocalMediaRow, content: string | Buffer): Promise<void> {
    const path = join(store, storePathOf(row.mediaId, row.urlCache) ?? expectPath(row.mediaId));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, content);
}

function expectPath(mediaId: string): never {
    throw new Error(`no path for ${mediaId}`);
}

/** Fills an empty table and an empty store with the same media. */
export async function fill(
    client: Client,
    store: string,
    media: readonly { readonly row: LocalMediaRow; readonly content?: string | Buffer }[],
): Promise<void> {
    await mkdir(store, { recursive: true });
    await client.query("TRUNCATE public.local_media_repository");
    await insertMediaRows(
        client,
        media.map(({ row }) => row),
    );
    for (const { row, content } of media) if (content !== undefined) await putFile(store, row, content);
}
