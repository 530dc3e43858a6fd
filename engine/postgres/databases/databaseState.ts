/** What stands under a database's name: nothing, an empty database, or somebody's data. */
import { z } from "zod";
import { query, withClient, type Client, type ConnectionOptions, type DatabaseAddress } from "../connection.ts";
import { markerSchema, readMarker, type Marker } from "./marker.ts";

export interface DatabaseState {
    readonly state: "absent" | "empty" | "occupied";
    /** Up to {@link namedObjects} of what is in it besides our own schema: `table public.events`. */
    readonly objects: readonly string[];
    /** How many there are. */
    readonly objectCount: number;
    readonly marker?: Marker | undefined;
    /** Present unless absent. */
    readonly oid?: string;
    /** What a `DROP DATABASE` that was interrupted has left: nobody can connect to it any more, and nothing but dropping it is possible. */
    readonly isInvalid?: true;
}

const namedObjects = 5;

/** Inspects a database that may not exist. The address is that of the maintenance database on the same server, and its role. */
export async function inspectDatabase(
    maintenance: DatabaseAddress,
    name: string,
    options: ConnectionOptions,
): Promise<DatabaseState> {
    const found = await withClient(maintenance, options, (client) => findDatabase(client, name));
    if (found === undefined) return { state: "absent", objects: [], objectCount: 0 };
    const { oid, isInvalid } = found;
    if (isInvalid) return { state: "empty", objects: [], objectCount: 0, oid, isInvalid };
    return withClient({ ...maintenance, name }, options, async (client) => {
        const objects = await foreignObjects(client);
        return {
            state: objects.length === 0 ? "empty" : "occupied",
            objects: objects.slice(0, namedObjects),
            objectCount: objects.length,
            marker: await readMarker(client),
            oid,
        };
    });
}

async function findDatabase(client: Client, name: string): Promise<{ oid: string; isInvalid: boolean } | undefined> {
    const [row] = await query(
        client,
        z.object({ oid: z.string(), isInvalid: z.boolean() }),
        // DATCONNLIMIT_INVALID_DB (src/include/catalog/pg_database.h), by minor versions from August 2023 on.
        `SELECT oid::text AS oid, datconnlimit = -2 AS "isInvalid" FROM pg_database WHERE datname = $1`,
        [name],
    );
    return row;
}

/** What to do about a database that holds data, where that is allowed. */
export const replaceFix =
    "is it the right database? Choose another name; or, if it is to be replaced, set `target.database.replace: true`: " +
    "a checked copy of it is made, and it is put aside under another name";

/** For messages: `table public.events, view public.v and 3 more`. */
export function describeObjects({ objects, objectCount }: DatabaseState): string {
    const more = objectCount - objects.length;
    return `${objects.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/**
 * Everything that a fresh database from `template0` does not have: relations, functions, types, other schemas, and extensions but plpgsql.
 * Tables come first, as they say most.
 */
async function foreignObjects(client: Client): Promise<string[]> {
    const rows = await query(
        client,
        z.object({ object: z.string() }),
        `WITH schemas AS (
            SELECT oid, nspname FROM pg_namespace
            WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', '${markerSchema}')),
        objects AS (
            SELECT 1 AS rank, CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'view'
                    WHEN 'S' THEN 'sequence' WHEN 'f' THEN 'foreign table' ELSE 'relation' END AS kind,
                nspname || '.' || relname AS name
            FROM pg_class JOIN schemas ON schemas.oid = relnamespace WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
            UNION ALL
            SELECT 2, 'function', nspname || '.' || proname FROM pg_proc JOIN schemas ON schemas.oid = pronamespace
            UNION ALL
            SELECT 3, 'type', nspname || '.' || typname FROM pg_type t JOIN schemas ON schemas.oid = typnamespace
            WHERE typtype IN ('e', 'd', 'r')
                OR (typtype = 'c' AND EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
            UNION ALL
            SELECT 4, 'extension', extname FROM pg_extension WHERE extname <> 'plpgsql'
            UNION ALL
            SELECT 5, 'schema', nspname FROM schemas WHERE nspname <> 'public'
            UNION ALL
            SELECT 6, 'large object', oid::text FROM pg_largeobject_metadata)
        SELECT kind || ' ' || name AS object FROM objects ORDER BY rank, name COLLATE "C"`,
    );
    return rows.map(({ object }) => object);
}
