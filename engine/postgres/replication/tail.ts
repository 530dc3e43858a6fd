/** The newest rows of the tables that grow, on both sides: what would be missing if the last changes had not arrived. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { query, queryOne, quotedName, type Client } from "../connection.ts";
import { publishedTables } from "./replicaIdentity.ts";

/** Rows of a table that are looked at. */
const tailRows = 2000;

const growingShape = z.object({
    schema: z.string(),
    table: z.string(),
    column: z.string(),
    columns: z.array(z.string()),
});
type GrowingTable = z.infer<typeof growingShape>;

/**
 * Tables with a btree index whose first column is a whole number that is never null: their newest rows are found without reading the
 * rest, however large they are. Numbers of streams are such columns, and so are ids and times.
 */
async function growingTables(client: Client): Promise<GrowingTable[]> {
    return query(
        client,
        growingShape,
        `SELECT DISTINCT ON (c.oid) n.nspname AS schema, c.relname AS table, k.attname AS column,
            (SELECT json_agg(a.attname ORDER BY a.attname COLLATE "C") FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
        FROM ${publishedTables.replace(
            "WHERE",
            `JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
            JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = i.indkey[0] WHERE`,
        )} AND m.amname = 'btree' AND i.indisvalid AND i.indpred IS NULL AND k.attnotnull
            AND k.atttypid IN ('int8'::regtype, 'int4'::regtype)
        ORDER BY c.oid, i.indisunique DESC, i.indnatts, k.attnum`,
    );
}

export interface TailDifference {
    readonly table: string;
    readonly source: string;
    readonly target: string;
}

/** Compares the newest rows. @returns tables whose newest rows are not the same, and how many tables and rows were compared */
export async function compareTails(
    source: Client,
    target: Client,
): Promise<{ differences: TailDifference[]; tables: number; rows: number }> {
    const differences: TailDifference[] = [];
    let rows = 0;
    const tables = await growingTables(source);
    for (const table of tables) {
        const from = await tailStart(source, table);
        const [here, there] = await Promise.all([tailHash(source, table, from), tailHash(target, table, from)]);
        rows += here.rows;
        const text = (side: { rows: number; hash: string }): string => `${side.rows} rows, hash ${side.hash}`;
        if (text(here) !== text(there))
            differences.push({ table: `${table.schema}.${table.table}`, source: text(here), target: text(there) });
    }
    return { differences, tables: tables.length, rows };
}

/** The value after which the newest rows begin; undefined where the table has no more than those. */
async function tailStart(client: Client, { schema, table, column }: GrowingTable): Promise<string | undefined> {
    const name = escapeIdentifier(column);
    const [row] = await query(
        client,
        z.object({ start: z.string() }),
        `SELECT ${name}::text AS start FROM ONLY ${quotedName(schema, table)} ORDER BY ${name} DESC OFFSET ${tailRows} LIMIT 1`,
    );
    return row?.start;
}

async function tailHash(
    client: Client,
    { schema, table, column, columns }: GrowingTable,
    from: string | undefined,
): Promise<{ rows: number; hash: string }> {
    const row = `ROW(${columns.map((each) => `t.${escapeIdentifier(each)}`).join(", ")})::text`;
    const bound = from === undefined ? "" : `WHERE ${escapeIdentifier(column)} > ${BigInt(from)}`;
    return queryOne(
        client,
        z.object({ rows: z.coerce.number(), hash: z.string() }),
        `SELECT count(*)::text AS rows, coalesce(sum(hashtextextended(${row} COLLATE "C", 0)), 0)::text AS hash
        FROM ONLY ${quotedName(schema, table)} t ${bound}`,
    );
}
