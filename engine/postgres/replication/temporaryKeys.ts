/**
 * Keys that the target needs only while it follows.
 *
 * A server before PostgreSQL 16 looks for the row of an UPDATE or DELETE that came without a key by reading the whole table, for each of
 * them. Where an index of the table covers columns that are never null, and its values are unique in fact though nobody said so, a unique
 * index over them as replica identity of the target's table finds it at once. So does one over those columns of a unique index that are never
 * null, as the others are the same in most rows (`event_push_actions`). (16 and newer can use any btree index: manual 31.1.)
 */
import { DatabaseError, escapeIdentifier } from "pg";
import { z } from "zod";
import { query, quotedName, type Client } from "../connection.ts";
import { publishedTables } from "./replicaIdentity.ts";

export interface TemporaryKey {
    readonly schema: string;
    readonly table: string;
    readonly index: string;
}

const withoutNeed = 160000;
/** Reading fewer pages than this is faster than keeping an index. */
const smallestPages = 16;
const uniqueViolation = "23505";

/** Of each index of a table, the key columns that are never null: a row is found by them where they are as good as unique. */
const neverNullColumns = `JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
    CROSS JOIN LATERAL (SELECT json_agg(a.attname ORDER BY k.position) AS columns, count(*) AS number
        FROM unnest(i.indkey[0 : i.indnkeyatts - 1]) WITH ORDINALITY k (number, position)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number AND a.attnotnull) k`;

const candidateShape = z.object({ schema: z.string(), table: z.string(), columns: z.array(z.string()) });

/** @param serverNumber  `server_version_num` of the target */
export async function makeTemporaryKeys(client: Client, serverNumber: number): Promise<TemporaryKey[]> {
    if (serverNumber >= withoutNeed) return [];
    const candidates = await query(
        client,
        candidateShape,
        `SELECT n.nspname AS schema, c.relname AS table,
            k.columns
        FROM ${publishedTables.replace("WHERE", `${neverNullColumns} WHERE`)}
            AND c.relreplident = 'f' AND m.amname = 'btree' AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
            AND pg_relation_size(c.oid) / current_setting('block_size')::int >= ${smallestPages}
            AND (k.number = i.indnkeyatts OR i.indisunique AND k.number > 1)
        ORDER BY c.oid, k.number DESC, i.indexrelid`,
    );
    const keys: TemporaryKey[] = [];
    for (const { schema, table, columns } of candidates) {
        if (keys.some((key) => key.schema === schema && key.table === table)) continue;
        const key = { schema, table, index: `synapse_migration_key_${keys.length + 1}` };
        if (await makeKey(client, key, columns)) keys.push(key);
    }
    return keys;
}

/**
 * What to do when the worker fails: a key may be what it fails on. That its values were unique when it was made promises nothing of rows
 * that came later, as no constraint of the source says so.
 *
 * @returns nothing where there are no such keys
 */
export function goOnWithoutKeys(
    client: Client,
    keys: readonly TemporaryKey[],
    say: (line: string) => void,
): (() => Promise<void>) | undefined {
    if (keys.length === 0) return undefined;
    return async () => {
        say("the target's worker has failed: it goes on without the temporary keys, and slower");
        await dropTemporaryKeys(client, keys);
    };
}

/** Removes them; the tables have what they had before. */
export async function dropTemporaryKeys(client: Client, keys: readonly TemporaryKey[]): Promise<void> {
    for (const { schema, table, index } of keys)
        await client.query(
            `BEGIN; ALTER TABLE ${quotedName(schema, table)} REPLICA IDENTITY FULL;
            DROP INDEX IF EXISTS ${quotedName(schema, index)}; COMMIT`,
        );
}

/** @returns false where the values are not unique */
async function makeKey(
    client: Client,
    { schema, table, index }: TemporaryKey,
    columns: readonly string[],
): Promise<boolean> {
    const name = quotedName(schema, table);
    try {
        await client.query(
            `BEGIN; CREATE UNIQUE INDEX ${escapeIdentifier(index)} ON ${name} (${columns.map(escapeIdentifier).join(", ")});
            ALTER TABLE ${name} REPLICA IDENTITY USING INDEX ${escapeIdentifier(index)}; COMMIT`,
        );
        return true;
    } catch (error) {
        await client.query("ROLLBACK");
        if (error instanceof DatabaseError && error.code === uniqueViolation) return false;
        throw error;
    }
}
