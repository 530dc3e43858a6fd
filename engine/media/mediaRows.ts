/** Reads what a Synapse database says of the homeserver's own media, a few thousand rows at a time. */
import Cursor from "pg-cursor";
import { z } from "zod";
import { inSnapshot, queryOne, withClient, type Client, type DatabaseAddress } from "../postgres/connection.ts";
import type { MediaRow, ThumbnailRow } from "./completeness.ts";

const rowsAtOnce = 5000;

const mediaRow = z.object({ mediaId: z.string(), length: z.number().nullable(), sha256: z.string().nullable() });
const thumbnailRow = z.object({
    mediaId: z.string(),
    width: z.number(),
    height: z.number(),
    type: z.string(),
    method: z.string(),
    length: z.number(),
});

const remoteRow = z.object({ origin: z.string(), filesystemId: z.string() });
const remoteThumbnailRow = thumbnailRow.omit({ length: true }).extend({ origin: z.string() });

export interface MediaRows {
    readonly media: AsyncIterable<MediaRow>;
    readonly thumbnails: AsyncIterable<ThumbnailRow>;
    /** Of other servers: what is kept of them. */
    readonly remoteMedia: AsyncIterable<z.infer<typeof remoteRow>>;
    readonly remoteThumbnails: AsyncIterable<z.infer<typeof remoteThumbnailRow>>;
}

/**
 * Gives the tables as one snapshot has them. To be read one after the other, while the work goes on.
 *
 * @throws MigrationError those of `withClient`
 */
export async function withMediaRows<T>(
    address: DatabaseAddress,
    options: { readonly step: string; readonly signal?: AbortSignal },
    work: (rows: MediaRows) => Promise<T>,
): Promise<T> {
    return withClient(address, { ...options, readOnly: true, statementSeconds: 0 }, (client) =>
        inSnapshot(client, undefined, async () => {
            // Since schema version 91 (synapse/storage/schema/main/delta/91/01_media_hash.sql).
            const { hashed } = await queryOne(
                client,
                z.object({ hashed: z.boolean() }),
                `SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'public.local_media_repository'::regclass
                    AND attname = 'sha256' AND NOT attisdropped) AS hashed`,
            );
            return work({
                media: rows(
                    client,
                    mediaRow,
                    `SELECT media_id AS "mediaId", media_length AS length, ${hashed ? "sha256" : "NULL::text"} AS sha256
                        FROM public.local_media_repository WHERE url_cache IS NULL`,
                ),
                thumbnails: rows(
                    client,
                    thumbnailRow,
                    `SELECT t.media_id AS "mediaId", t.thumbnail_width AS width, t.thumbnail_height AS height,
                            t.thumbnail_type AS type, t.thumbnail_method AS method, t.thumbnail_length AS length
                        FROM public.local_media_repository_thumbnails t JOIN public.local_media_repository m USING (media_id)
                        WHERE m.url_cache IS NULL AND t.thumbnail_length IS NOT NULL`,
                ),
                remoteMedia: rows(
                    client,
                    remoteRow,
                    `SELECT media_origin AS origin, filesystem_id AS "filesystemId" FROM public.remote_media_cache
                        WHERE media_origin IS NOT NULL AND filesystem_id IS NOT NULL`,
                ),
                remoteThumbnails: rows(
                    client,
                    remoteThumbnailRow,
                    `SELECT media_origin AS origin, filesystem_id AS "mediaId", thumbnail_width AS width,
                            thumbnail_height AS height, thumbnail_type AS type, thumbnail_method AS method
                        FROM public.remote_media_cache_thumbnails WHERE media_origin IS NOT NULL AND filesystem_id IS NOT NULL`,
                ),
            });
        }),
    );
}

async function* rows<Row>(client: Client, shape: z.ZodType<Row>, sql: string): AsyncGenerator<Row> {
    const cursor = client.query(new Cursor<unknown>(sql));
    try {
        for (;;) {
            const batch = await cursor.read(rowsAtOnce);
            for (const row of batch) yield shape.parse(row);
            if (batch.length < rowsAtOnce) return;
        }
    } finally {
        await cursor.close();
    }
}
