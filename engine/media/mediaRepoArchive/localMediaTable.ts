/** Rows of Synapse's `local_media_repository`: read whole, written without touching those that are there. */
import Cursor from "pg-cursor";
import { z } from "zod";
import { query, type Client } from "../../postgres/connection.ts";
import { MigrationError } from "../../run/errors.ts";
import { describeListed, newListed, note, type SynapseFacts } from "./mediaArchive.ts";

/** Everything Synapse keeps of one piece of the homeserver's own media. */
export interface LocalMediaRow extends SynapseFacts {
    readonly mediaId: string;
    readonly mediaType: string | null;
    /** Bytes; null for media that was announced and never uploaded. */
    readonly mediaLength: number | null;
    /** Milliseconds since 1970. */
    readonly createdTs: number | null;
    readonly uploadName: string | null;
    readonly userId: string | null;
    /** Lower-case hexadecimal; null in rows from before schema version 91. */
    readonly sha256: string | null;
}

/** Longest length that `media_length integer` holds. */
export const longestMediaBytes = 2 ** 31 - 1;

const rowsAtOnce = 5000;

/** Columns, with the types they are sent as. Databases of older Synapse do not have the last ones. */
const columns = [
    ["media_id", "text"],
    ["media_type", "text"],
    ["media_length", "bigint"],
    ["created_ts", "bigint"],
    ["upload_name", "text"],
    ["user_id", "text"],
    ["quarantined_by", "text"],
    ["url_cache", "text"],
    ["last_access_ts", "bigint"],
    ["safe_from_quarantine", "boolean"],
    ["authenticated", "boolean"],
    ["sha256", "text"],
] as const;

const bigint = z
    .string()
    .nullable()
    .transform((value) => (value === null ? null : Number(value)));
const storedRow = z.object({
    media_id: z.string(),
    media_type: z.string().nullable(),
    media_length: bigint,
    created_ts: bigint,
    upload_name: z.string().nullable(),
    user_id: z.string().nullable(),
    quarantined_by: z.string().nullable(),
    url_cache: z.string().nullable(),
    last_access_ts: bigint,
    safe_from_quarantine: z.boolean().nullable(),
    authenticated: z.boolean().nullable(),
    sha256: z.string().nullable(),
    twin: z.string(),
});

export interface ReadMediaRow extends LocalMediaRow {
    /** 1, or the number among media ids that differ only in case: names of files must not be told apart by case alone. */
    readonly twin: number;
}

/** All rows, ordered by media id. To be read in a snapshot. */
export async function* localMediaRows(client: Client): AsyncGenerator<ReadMediaRow> {
    const present = await presentColumns(client);
    const list = columns.map(([name, type]) => `${present.has(name) ? name : "NULL"}::${type} AS ${name}`);
    const cursor = client.query(
        new Cursor<unknown>(
            `SELECT ${list.join(", ")}, row_number() OVER (PARTITION BY lower(media_id) ORDER BY media_id COLLATE "C") AS twin
                FROM public.local_media_repository ORDER BY lower(media_id), twin`,
        ),
    );
    try {
        for (;;) {
            const batch = await cursor.read(rowsAtOnce);
            for (const row of batch) yield fromStored(storedRow.parse(row));
            if (batch.length < rowsAtOnce) return;
        }
    } finally {
        await cursor.close();
    }
}

/**
 * Adds the rows that are not there, all of them or none. Rows that are there stay as they are: what a homeserver's database says of its
 * media is more than an archive knows.
 *
 * @param client  connected as the database's owner, in no transaction
 * @returns how many rows were added, and how many were there
 * @throws MigrationError SM-E0965 when a row that is there is of other content: another length, another SHA-256, or none uploaded yet
 */
export async function insertMediaRows(
    client: Client,
    rows: readonly LocalMediaRow[],
): Promise<{ inserted: number; already: number }> {
    const present = await presentColumns(client);
    const used = columns.filter(([name]) => present.has(name));
    const shape = used.map(([name, type]) => `${name} ${type}`).join(", ");
    const names = used.map(([name]) => name).join(", ");
    await client.query("BEGIN");
    try {
        const different = newListed();
        for (const batch of batches(rows)) {
            const found = await query(
                client,
                z.object({ id: z.string() }),
                `SELECT there.media_id AS id FROM jsonb_to_recordset($1::jsonb) AS new (${shape})
                    JOIN public.local_media_repository there USING (media_id)
                    WHERE there.media_length IS DISTINCT FROM new.media_length
                        ${present.has("sha256") ? "OR there.sha256 <> new.sha256" : ""}
                    ORDER BY 1`,
                [batch],
            );
            for (const { id } of found) note(different, id);
        }
        if (different.count > 0) throw otherContent(different);
        let inserted = 0;
        for (const batch of batches(rows)) {
            const { rowCount } = await client.query(
                `INSERT INTO public.local_media_repository (${names})
                    SELECT ${names} FROM jsonb_to_recordset($1::jsonb) AS new (${shape})
                    ON CONFLICT (media_id) DO NOTHING`,
                [batch],
            );
            inserted += rowCount ?? 0;
        }
        await client.query("COMMIT");
        return { inserted, already: rows.length - inserted };
    } catch (error) {
        await client.query("ROLLBACK").catch(() => undefined);
        throw error;
    }
}

function otherContent(different: ReturnType<typeof newListed>): MigrationError {
    return new MigrationError("SM-E0965", {
        where: "table local_media_repository",
        found: describeListed(different, "media ids that the database has with other content"),
        expected: "no row, or one of the same length and SHA-256",
    });
}

async function presentColumns(client: Client): Promise<ReadonlySet<string>> {
    const found = await query(
        client,
        z.object({ name: z.string() }),
        `SELECT attname AS name FROM pg_attribute
            WHERE attrelid = 'public.local_media_repository'::regclass AND attnum > 0 AND NOT attisdropped`,
    );
    return new Set(found.map(({ name }) => name));
}

/** As JSON texts. */
function* batches(rows: readonly LocalMediaRow[]): Generator<string> {
    for (let start = 0; start < rows.length; start += rowsAtOnce) {
        yield JSON.stringify(rows.slice(start, start + rowsAtOnce).map(toStored));
    }
}

function toStored(row: LocalMediaRow): Record<(typeof columns)[number][0], unknown> {
    return {
        media_id: row.mediaId,
        media_type: row.mediaType,
        media_length: row.mediaLength,
        created_ts: row.createdTs,
        upload_name: row.uploadName,
        user_id: row.userId,
        quarantined_by: row.quarantinedBy,
        url_cache: row.urlCache,
        last_access_ts: row.lastAccessTs,
        safe_from_quarantine: row.safeFromQuarantine,
        // The column is NOT NULL, and so it was filled for media from before it.
        authenticated: row.authenticated ?? false,
        sha256: row.sha256,
    };
}

function fromStored(row: z.infer<typeof storedRow>): ReadMediaRow {
    return {
        mediaId: row.media_id,
        mediaType: row.media_type,
        mediaLength: row.media_length,
        createdTs: row.created_ts,
        uploadName: row.upload_name,
        userId: row.user_id,
        quarantinedBy: row.quarantined_by,
        urlCache: row.url_cache,
        lastAccessTs: row.last_access_ts,
        safeFromQuarantine: row.safe_from_quarantine ?? false,
        authenticated: row.authenticated,
        sha256: row.sha256,
        twin: Number(row.twin),
    };
}
