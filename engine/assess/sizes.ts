/** How much there is to move. */
import { z } from "zod";
import type { assessContract } from "../../contract/index.ts";
import { query, queryOne, type Client } from "../postgres/connection.ts";
import { isCancelled } from "./cancelled.ts";

type Sizes = z.infer<typeof assessContract.result>["sizes"];

export interface ReadSizes {
    readonly sizes: Sizes;
    /** What could not be read in time; its sizes are 0. */
    readonly notRun: readonly string[];
}

const bytes = z.object({ bytes: z.coerce.number() });
const media = z.object({ bytes: z.coerce.number(), files: z.coerce.number() });
const tables = z.object({ tables: z.coerce.number() });

export async function readSizes(client: Client): Promise<ReadSizes> {
    const notRun: string[] = [];
    const inTime = async <T>(id: string, read: () => Promise<T>, otherwise: T): Promise<T> =>
        read().catch((error: unknown) => {
            if (!isCancelled(error)) throw error;
            notRun.push(id);
            return otherwise;
        });
    const database = await inTime(
        "database-size",
        () => queryOne(client, bytes, "SELECT pg_database_size(current_database())::text AS bytes"),
        { bytes: 0 },
    );
    const store = await inTime("media-size", () => readMedia(client), { bytes: 0, files: 0 });
    const count = await queryOne(
        client,
        tables,
        `SELECT count(*)::text AS tables FROM pg_tables
         WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'synapse_migration')`,
    );
    const sizes = {
        databaseBytes: database.bytes,
        mediaBytes: store.bytes,
        mediaFiles: store.files,
        tables: count.tables,
    };
    return { sizes, notRun };
}

/** Reads a whole table; there is none in a database that is not Synapse's, which another check reports. */
async function readMedia(client: Client): Promise<z.infer<typeof media>> {
    const [present] = await query(
        client,
        z.object({ present: z.boolean() }),
        "SELECT to_regclass('public.local_media_repository') IS NOT NULL AS present",
    );
    if (present?.present !== true) return { bytes: 0, files: 0 };
    return queryOne(
        client,
        media,
        `SELECT coalesce(sum(media_length), 0)::text AS bytes, count(*)::text AS files
         FROM public.local_media_repository WHERE media_length IS NOT NULL`,
    );
}
