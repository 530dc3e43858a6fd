/** What a Synapse database says of cached media of other servers (`remote_media_cache`), and whether its files are there. */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import Cursor from "pg-cursor";
import { z } from "zod";
import { query, queryOne, type Client } from "../../postgres/connection.ts";
import { remoteContentPath } from "../layout.ts";
import type { Listed } from "../completeness.ts";

/** Quarantined rows keep people from media that nobody is to see; Synapse's own clean-up keeps them, too. */
const askable = "quarantined_by IS NULL";
const rowsAtOnce = 5000;
const longestList = 1000;

const counts = z.object({ askable: z.coerce.number(), undated: z.coerce.number(), quarantined: z.coerce.number() });

export interface RemoteRowCounts {
    /** Rows that Synapse may answer from. */
    readonly askable: number;
    /** Of these, rows without a time of access, which the clean-up never takes. */
    readonly undated: number;
    readonly quarantined: number;
}

export async function countRemoteRows(client: Client): Promise<RemoteRowCounts> {
    return queryOne(
        client,
        counts,
        `SELECT count(*) FILTER (WHERE ${askable})::text AS askable,
            count(*) FILTER (WHERE ${askable} AND last_access_ts IS NULL)::text AS undated,
            count(*) FILTER (WHERE NOT (${askable}))::text AS quarantined FROM public.remote_media_cache`,
    );
}

/**
 * A time before which about so many rows were last accessed; undefined when there are none.
 *
 * @param rows  how many one call of the clean-up is to take: it answers only when all of them are gone
 * @returns milliseconds since 1970, for `before_ts`
 */
export async function boundaryOf(client: Client, rows: number): Promise<number | undefined> {
    const [found] = await query(
        client,
        z.object({ ts: z.coerce.number() }),
        `SELECT max(last_access_ts)::text AS ts FROM (SELECT last_access_ts FROM public.remote_media_cache
            WHERE ${askable} AND last_access_ts IS NOT NULL ORDER BY last_access_ts LIMIT $1) AS oldest
            HAVING count(*) > 0`,
        [rows],
    );
    // Synapse takes what was accessed before, and refuses times of the year 1970.
    return found === undefined ? undefined : Math.max(found.ts + 1, 30_000_000_000);
}

const address = z.object({ origin: z.string(), mediaId: z.string() });
export type RemoteMediaAddress = z.infer<typeof address>;

/** The cached media that was asked for last. */
export async function newestRemoteMedia(client: Client): Promise<RemoteMediaAddress | undefined> {
    const [found] = await query(
        client,
        address,
        `SELECT media_origin AS origin, media_id AS "mediaId" FROM public.remote_media_cache WHERE ${askable}
            ORDER BY last_access_ts DESC NULLS LAST, media_origin, media_id LIMIT 1`,
    );
    return found;
}

/** Addresses of rows that Synapse may answer from and that have no file in the store. */
export async function rowsWithoutFile(client: Client, mediaStore: string, signal: AbortSignal): Promise<Listed> {
    const row = address.extend({ file: z.string() });
    const found: Listed = { count: 0, first: [] };
    const cursor = client.query(
        new Cursor<unknown>(
            `SELECT media_origin AS origin, media_id AS "mediaId", filesystem_id AS file FROM public.remote_media_cache WHERE ${askable}`,
        ),
    );
    try {
        for (;;) {
            const batch = z.array(row).parse(await cursor.read(rowsAtOnce));
            for (const { origin, mediaId, file } of batch) {
                signal.throwIfAborted();
                const path = remoteContentPath(origin, file);
                const status =
                    path === undefined ? undefined : await lstat(join(mediaStore, path)).catch(() => undefined);
                if (status?.isFile() === true) continue;
                found.count++;
                if (found.first.length < longestList) found.first.push(`mxc://${origin}/${mediaId}`);
            }
            if (batch.length < rowsAtOnce) return found;
        }
    } finally {
        await cursor.close();
    }
}
