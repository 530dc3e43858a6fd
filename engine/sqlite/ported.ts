/** Reads both sides of a port: the tables of the SQLite copy and those of PostgreSQL, with digests that are equal where the rows are. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { query, queryOne, quotedName, type Client } from "../postgres/connection.ts";
import { runPythonProgram, type PythonProgramOptions } from "./pythonProgram.ts";

interface PortedColumn {
    readonly name: string;
    /** PostgreSQL's name of the type: `bigint`, `text`, `boolean`. */
    readonly type: string;
}

export interface PortedTable {
    readonly name: string;
    /** In the order that rows are digested in. */
    readonly columns: readonly PortedColumn[];
}

/** Rows and their digest: two sums of the halves of each row's MD5. A sum, as twice the same row would vanish in an exclusive or. */
export interface Digest {
    readonly rows: number;
    readonly digest: string;
}

const counted = z.strictObject({ name: z.string(), total: z.number() });
const digested = counted.extend({
    /** Rows that PostgreSQL must have, and their digest. */
    rows: z.number(),
    digest: z.string(),
    /** Names of the columns that the digest is made of. */
    columns: z.array(z.string()),
    /** Rows with a NUL in a text. */
    nul: z.number(),
    /** Search entries without their event. */
    orphans: z.number(),
    /** Columns that PostgreSQL's table does not have. */
    lost: z.array(z.string()),
});
/** A table of the copy; one that was not to be digested is only counted. */
const sqliteTable = z.union([digested, counted]);
export type SqliteTable = z.infer<typeof sqliteTable>;
export type DigestedTable = z.infer<typeof digested>;

/** Reading a row costs Python some microseconds: an hour for a thousand million of them would not do. */
const readSeconds = 24 * 3600;

/** Tables of Synapse in the PostgreSQL database. */
export async function portedTables(client: Client): Promise<PortedTable[]> {
    const rows = await query(
        client,
        z.object({ table: z.string(), name: z.string(), type: z.string() }),
        `SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, NULL) AS type
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
        ORDER BY c.relname COLLATE "C", a.attname COLLATE "C"`,
    );
    const tables = new Map<string, PortedColumn[]>();
    for (const { table, name, type } of rows) tables.set(table, [...(tables.get(table) ?? []), { name, type }]);
    return [...tables].map(([name, columns]) => ({ name, columns }));
}

/** All tables of the copy; those named with the digest that PostgreSQL must have. */
export async function readSqliteTables(
    database: string,
    tables: readonly PortedTable[],
    options: PythonProgramOptions,
): Promise<SqliteTable[]> {
    const call = { program: "read_tables.py" as const, question: { database, tables }, timeoutSeconds: readSeconds };
    return runPythonProgram(call, sqliteTable, options);
}

/** Digests a table of the PostgreSQL database. read_tables.py makes the same of SQLite's rows. */
export async function postgresDigest(client: Client, { name, columns }: PortedTable): Promise<Digest> {
    const texts = columns.map(({ name: column, type }) => textOf(escapeIdentifier(column), type));
    const row = texts.map((text) => `coalesce(octet_length(${text}) || ':' || ${text}, '-')`).join(" || ',' || ");
    const half = (from: number): string =>
        `coalesce(sum(('x' || substr(hash, ${from}, 16))::bit(64)::bigint), 0)::text`;
    return queryOne(
        client,
        z.object({ rows: z.coerce.number().int(), digest: z.string() }),
        `SELECT count(*) AS rows, ${half(1)} || ':' || ${half(17)} AS digest
        FROM (SELECT md5(${row === "" ? "''" : row}) AS hash FROM ${quotedName("public", name)}) AS hashes`,
    );
}

/** Rows of a table that is not digested. */
export async function countRows(client: Client, name: string): Promise<number> {
    const sql = `SELECT count(*) AS rows FROM ${quotedName("public", name)}`;
    return (await queryOne(client, z.object({ rows: z.coerce.number().int() }), sql)).rows;
}

function textOf(column: string, type: string): string {
    if (type === "bytea") return `encode(${column}, 'hex')`;
    if (type === "double precision") return `encode(float8send(${column}), 'hex')`;
    if (type === "real") return `encode(float4send(${column}), 'hex')`;
    return `${column}::text`;
}
