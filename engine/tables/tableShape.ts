/** What PostgreSQL's catalogue says about a table: columns, unique indexes, foreign keys from and to it. */
import { z } from "zod";
import { query, quotedName, type Client } from "../postgres/connection.ts";

const column = z.object({
    name: z.string(),
    /** As `format_type` has it. */
    type: z.string(),
    /** Whether the type is told apart further, as `varchar(10)` is. */
    limited: z.boolean(),
    notNull: z.boolean(),
    hasDefault: z.boolean(),
    /** Computed from other columns: it has no data. */
    generated: z.boolean(),
});
export type Column = z.infer<typeof column>;

const uniqueIndex = z.object({
    name: z.string(),
    primary: z.boolean(),
    /** SQL over the table's columns, one for each part of the key. */
    parts: z.array(z.string()),
    /** Their names where all parts are columns. */
    columns: z.array(z.string()).nullable(),
    predicate: z.string().nullable(),
});
export type UniqueIndex = z.infer<typeof uniqueIndex>;

const reference = z.object({
    constraint: z.string(),
    table: z.string(),
    columns: z.array(z.string()),
    schema: z.string(),
    referredSchema: z.string(),
    referred: z.string(),
    referredColumns: z.array(z.string()),
});
export type ForeignKey = z.infer<typeof reference>;

/** Columns in the order of the table; none when there is no such table. */
export async function readColumns(client: Client, schema: string, table: string): Promise<Column[]> {
    return query(
        client,
        column,
        `SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.atttypmod <> -1 AS limited, a.attnotnull AS "notNull",
            (a.atthasdef OR a.attidentity <> '') AS "hasDefault", a.attgenerated <> '' AS generated
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r'
        WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`,
        [quotedName(schema, table)],
    );
}

/** Valid ones, the primary key first. */
export async function readUniqueIndexes(client: Client, schema: string, table: string): Promise<UniqueIndex[]> {
    return query(
        client,
        uniqueIndex,
        `SELECT c.relname AS name, i.indisprimary AS primary,
            (SELECT json_agg(pg_get_indexdef(i.indexrelid, n, true) ORDER BY n) FROM generate_series(1, i.indnkeyatts) n) AS parts,
            CASE WHEN i.indexprs IS NULL THEN (SELECT json_agg(a.attname ORDER BY n) FROM generate_series(1, i.indnkeyatts) n
                JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[n - 1]) END AS columns,
            pg_get_expr(i.indpred, i.indrelid) AS predicate
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indisvalid ORDER BY i.indisprimary DESC, c.relname`,
        [quotedName(schema, table)],
    );
}

/** Foreign keys that one of these tables has, or that refers to one of them. */
export async function readForeignKeys(
    client: Client,
    schema: string,
    tables: readonly string[],
): Promise<ForeignKey[]> {
    const names = (numbers: string, table: string): string =>
        `(SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(${numbers}) WITH ORDINALITY k(number, n)
            JOIN pg_attribute a ON a.attrelid = ${table} AND a.attnum = k.number)`;
    return query(
        client,
        reference,
        `SELECT f.conname AS constraint, n.nspname AS schema, t.relname AS table, ${names("f.conkey", "f.conrelid")} AS columns,
            rn.nspname AS "referredSchema", r.relname AS referred, ${names("f.confkey", "f.confrelid")} AS "referredColumns"
        FROM pg_constraint f
        JOIN pg_class t ON t.oid = f.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
        JOIN pg_class r ON r.oid = f.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
        WHERE f.contype = 'f' AND ((n.nspname = $1 AND t.relname = ANY ($2)) OR (rn.nspname = $1 AND r.relname = ANY ($2)))
        ORDER BY t.relname, f.conname`,
        [schema, tables],
    );
}
