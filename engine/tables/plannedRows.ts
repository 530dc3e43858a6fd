/** The rows that a merge would write, in temporary tables that end with the transaction: every check is made against them. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { queryOne, type Client } from "../postgres/connection.ts";
import type { PairedTable } from "./pairedTable.ts";

export interface PlannedTable extends PairedTable {
    /** Quoted, with its schema. Columns of the live table, and {@link kindColumn}. */
    readonly planned: string;
    readonly inserts: number;
    readonly replaces: number;
}

/** `insert` or `replace`. */
export const kindColumn = "synapse_restore_kind";

/**
 * Rows that only the backup has, and with `replace` those that differ. Columns that the backup lacks are empty in the former, and as they
 * are in the latter.
 *
 * @param client  in a transaction
 */
export async function planRows(client: Client, table: PairedTable, replace: boolean): Promise<PlannedTable> {
    const planned = `pg_temp.${escapeIdentifier(`planned ${table.name}`.slice(0, 60))}`;
    const parts = table.key.length === 0 ? [wholeRows(table)] : [missingRows(table)];
    if (replace && table.key.length > 0) parts.push(changedRows(table));
    await client.query(`CREATE TEMPORARY TABLE ${planned} ON COMMIT DROP AS ${parts.join(" UNION ALL ")}`);
    await client.query(`ANALYZE ${planned}`);
    const counts = await queryOne(
        client,
        z.object({ inserts: z.coerce.number(), replaces: z.coerce.number() }),
        `SELECT count(*) FILTER (WHERE ${kindColumn} = 'insert')::text AS inserts,
            count(*) FILTER (WHERE ${kindColumn} = 'replace')::text AS replaces FROM ${planned}`,
    );
    return { ...table, planned, ...counts };
}

/** SQL: two rows have the same key. */
export function sameKey({ key }: Pick<PairedTable, "key">, a: string, b: string): string {
    return key.map((name) => `${a}.${escapeIdentifier(name)} = ${b}.${escapeIdentifier(name)}`).join(" AND ");
}

/** SQL: the key of a row of the backup is that of a live row. */
export function sameKeyAcross(table: PairedTable, backup: string, live: string): string {
    return table.key.map((name) => `${table.asLive(backup, name)} = ${live}.${escapeIdentifier(name)}`).join(" AND ");
}

/** SQL: the values of a column differ; as text, for types that cannot be compared. */
export function columnDiffers(table: PairedTable, name: string, backup: string, live: string): string {
    return `${table.asLive(backup, name)}::text IS DISTINCT FROM ${live}.${escapeIdentifier(name)}::text`;
}

/** SQL, to go on with: a live row is not one that is replaced. */
export function notReplaced(table: PlannedTable | undefined, live: string): string {
    if (table === undefined || table.replaces === 0) return "";
    return ` AND NOT EXISTS (SELECT FROM ${table.planned} gone WHERE gone.${kindColumn} = 'replace' AND ${sameKey(table, "gone", live)})`;
}

function missingRows(table: PairedTable): string {
    const columns = table.columns.map(({ name }) => `${table.asLive("b", name)} AS ${escapeIdentifier(name)}`);
    return `SELECT 'insert' AS ${kindColumn}, ${columns.join(", ")} FROM ${table.side} b
        WHERE NOT EXISTS (SELECT FROM ${table.live} l WHERE ${sameKeyAcross(table, "b", "l")})`;
}

function changedRows(table: PairedTable): string {
    const columns = table.columns.map(({ name }) =>
        table.common.includes(name)
            ? `${table.asLive("b", name)} AS ${escapeIdentifier(name)}`
            : `l.${escapeIdentifier(name)}`,
    );
    const differs = table.common.map((name) => columnDiffers(table, name, "b", "l")).join(" OR ");
    return `SELECT 'replace' AS ${kindColumn}, ${columns.join(", ")} FROM ${table.side} b
        JOIN ${table.live} l ON ${sameKeyAcross(table, "b", "l")} WHERE ${differs}`;
}

/** As a multiset: a row that the backup has twice and the homeserver once is planned once. */
function wholeRows(table: PairedTable): string {
    const texts = (of: (name: string) => string): string =>
        table.common.map((name) => `${of(name)}::text AS ${escapeIdentifier(name)}`).join(", ");
    const columns = table.columns.map(
        ({ name, type }) =>
            `${table.common.includes(name) ? `w.${escapeIdentifier(name)}` : "NULL"}::${type} AS ${escapeIdentifier(name)}`,
    );
    return `SELECT 'insert' AS ${kindColumn}, ${columns.join(", ")} FROM (
        SELECT ${texts((name) => table.asLive("b", name))} FROM ${table.side} b
        EXCEPT ALL SELECT ${texts((name) => `l.${escapeIdentifier(name)}`)} FROM ${table.live} l) w`;
}
