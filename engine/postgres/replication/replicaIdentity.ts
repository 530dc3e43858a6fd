/**
 * Replica identities: which columns of an old row an UPDATE or DELETE sends along (PostgreSQL manual 31.1).
 *
 * A table without a primary key has none, and once it is published, PostgreSQL refuses every UPDATE and DELETE on it, to the homeserver
 * too. So each such table gets one before the publication exists, and loses it after the publication is gone.
 */
import { setTimeout as delay } from "node:timers/promises";
import { DatabaseError, escapeIdentifier } from "pg";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { query, quotedName, type Client } from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";

export const identityShape = z.strictObject({
    schema: z.string(),
    table: z.string(),
    /** A unique index over columns that are never null; absent where the whole row has to do. */
    index: z.string().optional(),
});
export type ReplicaIdentity = z.infer<typeof identityShape>;

/** A lock on a busy table is asked for this long, and asked for again: whoever waits for it makes everybody behind it wait. */
const lockMilliseconds = 2000;

export interface Patience {
    readonly signal?: AbortSignal;
    /** How long a table's lock is asked for again and again, seconds; 120 when absent. */
    readonly lockSeconds?: number;
}
const lockNotAvailable = "55P03";

/** Tables of the homeserver, which is what is published. */
export const publishedTables = `pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND n.nspname NOT LIKE 'pg\\_%'
        AND n.nspname NOT IN ('information_schema', '${markerSchema}')
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')`;

/** Tables that have PostgreSQL's default and no primary key behind it, each with what it will get. */
export async function missingIdentities(client: Client): Promise<ReplicaIdentity[]> {
    const rows = await query(
        client,
        z.object({ schema: z.string(), table: z.string(), index: z.string().nullable() }),
        `SELECT n.nspname AS schema, c.relname AS table,
            (SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                    AND i.indpred IS NULL AND i.indexprs IS NULL
                    AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attnotnull
                        AND a.attnum = ANY (i.indkey[0 : i.indnkeyatts - 1]))
                ORDER BY i.indnkeyatts, x.relname LIMIT 1) AS index
        FROM ${publishedTables} AND c.relreplident = 'd' AND NOT EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate)
        ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"`,
    );
    return rows.map(({ schema, table, index }) => ({ schema, table, ...(index === null ? {} : { index }) }));
}

/** Gives each table its identity, a transaction each. @throws MigrationError SM-E1309 when a lock is not granted for two minutes */
export async function setIdentities(
    client: Client,
    identities: readonly ReplicaIdentity[],
    patience: Patience = {},
): Promise<void> {
    for (const { schema, table, index } of identities) {
        const identity = index === undefined ? "FULL" : `USING INDEX ${escapeIdentifier(index)}`;
        await alter(client, `ALTER TABLE ${quotedName(schema, table)} REPLICA IDENTITY ${identity}`, patience);
    }
}

/**
 * Gives tables back the default they had, where they still have what they were given. A table that another publication has needs its
 * identity: taking it away would have PostgreSQL refuse the homeserver's UPDATEs.
 *
 * @returns tables that another publication has
 */
export async function resetIdentities(
    client: Client,
    identities: readonly ReplicaIdentity[],
    patience: Patience = {},
): Promise<string[]> {
    const needed: string[] = [];
    for (const { schema, table } of await stillSet(client, identities)) {
        const [publication] = await query(
            client,
            z.object({ name: z.string() }),
            "SELECT pubname AS name FROM pg_publication_tables WHERE schemaname = $1 AND tablename = $2",
            [schema, table],
        );
        if (publication !== undefined) needed.push(`${schema}.${table} (publication ${publication.name})`);
        else await alter(client, `ALTER TABLE ${quotedName(schema, table)} REPLICA IDENTITY DEFAULT`, patience);
    }
    return needed;
}

/** Those that have what they were given, and not what somebody else has given them since. */
async function stillSet(client: Client, identities: readonly ReplicaIdentity[]): Promise<ReplicaIdentity[]> {
    const found = await query(
        client,
        z.object({ schema: z.string(), table: z.string(), kind: z.string(), index: z.string().nullable() }),
        `SELECT n.nspname AS schema, c.relname AS table, c.relreplident::text AS kind,
            (SELECT x.relname FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid
                WHERE i.indrelid = c.oid AND i.indisreplident) AS index
        FROM ${publishedTables} AND c.relreplident IN ('f', 'i')`,
    );
    const now = new Map(found.map((row) => [`${row.schema}.${row.table}`, row]));
    return identities.filter(({ schema, table, index }) => {
        const is = now.get(`${schema}.${table}`);
        return index === undefined ? is?.kind === "f" : is?.kind === "i" && is.index === index;
    });
}

async function alter(client: Client, statement: string, { signal, lockSeconds = 120 }: Patience): Promise<void> {
    const end = performance.now() + lockSeconds * 1000;
    for (;;) {
        signal?.throwIfAborted();
        try {
            await client.query("BEGIN READ WRITE");
            await client.query(`SET LOCAL lock_timeout = ${lockMilliseconds}`);
            await client.query(statement);
            await client.query("COMMIT");
            return;
        } catch (error) {
            await client.query("ROLLBACK").catch(() => undefined);
            if (!(error instanceof DatabaseError) || error.code !== lockNotAvailable) throw error;
            if (performance.now() > end)
                throw new MigrationError("SM-E1309", {
                    where: `database ${client.database ?? ""}`,
                    found: `${statement}: ${error.message}, again and again for ${lockSeconds} s`,
                    expected: "a lock on the table for a moment",
                    cause: error,
                });
            await delay(200 + Math.random() * 300);
        }
    }
}
