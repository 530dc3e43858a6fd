/** What of a copy is done, in the target itself: written in the transaction that did it, so that it is true after any crash. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { query, type Client } from "../connection.ts";
import { markerSchema } from "../marker.ts";
import type { CopiedTable, TablePart } from "./tables.ts";

const begun = `${markerSchema}.copy`;
const parts = `${markerSchema}.copy_part`;
const entries = `${markerSchema}.copy_entry`;

const partShape = z.object({
    schema: z.string(),
    name: z.string(),
    filenode: z.string(),
    fromPage: z.coerce.number().nullable(),
    toPage: z.coerce.number().nullable(),
    bytes: z.coerce.number(),
    rows: z.coerce.number().nullable(),
});

/** A part of the plan, and how many rows of it were copied: undefined when it is still to be done. */
export interface PlannedPart extends TablePart {
    readonly rows?: number;
}

/** Where an earlier attempt stopped. */
export interface CopyProgress {
    readonly parts: readonly PlannedPart[];
    /** Keys of what was done after the rows; see {@link entryKey}. */
    readonly entries: ReadonlySet<string>;
}

/** Whether the database holds a copy that was begun out of the source in that state, with its tables made. */
export async function hasCopy(client: Client, state: string): Promise<boolean> {
    const [present] = await query(
        client,
        z.object({ present: z.boolean() }),
        `SELECT to_regclass('${begun}') IS NOT NULL AS present`,
    );
    if (present?.present !== true) return false;
    const found = await query(client, z.object({ state: z.string() }), `SELECT state FROM ${begun}`);
    return found[0]?.state === state;
}

/** Writes the plan down once all tables are there. */
export async function beginJournal(client: Client, state: string, plan: readonly TablePart[]): Promise<void> {
    await client.query("BEGIN");
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${markerSchema}`);
    await client.query(`DROP TABLE IF EXISTS ${begun}, ${parts}, ${entries}`);
    await client.query(`CREATE TABLE ${begun} (state text NOT NULL)`);
    await client.query(
        `CREATE TABLE ${parts} (schema text NOT NULL, name text NOT NULL, filenode text NOT NULL, from_page bigint, to_page bigint,
            bytes bigint NOT NULL, rows bigint)`,
    );
    await client.query(`CREATE TABLE ${entries} (key text PRIMARY KEY)`);
    await client.query(`INSERT INTO ${begun} VALUES ($1)`, [state]);
    const rows = plan.map(({ table: { schema, name, filenode }, fromPage = null, toPage = null, bytes }) => ({
        ...{ schema, name, filenode, from_page: fromPage, to_page: toPage, bytes },
    }));
    await client.query(`INSERT INTO ${parts} SELECT * FROM json_populate_recordset(NULL::${parts}, $1)`, [
        JSON.stringify(rows),
    ]);
    await client.query("COMMIT");
}

/**
 * What an earlier attempt planned and did.
 *
 * @returns undefined when the source's tables are not those of the plan, or their rows have other places by now
 */
export async function readJournal(client: Client, tables: readonly CopiedTable[]): Promise<CopyProgress | undefined> {
    const byName = new Map(tables.map((table) => [`${table.schema}.${table.name}`, table]));
    const rows = await query(
        client,
        partShape,
        `SELECT schema, name, filenode, from_page AS "fromPage", to_page AS "toPage", bytes, rows FROM ${parts}`,
    );
    const planned: PlannedPart[] = [];
    const seen = new Set<string>();
    for (const row of rows) {
        const key = `${row.schema}.${row.name}`;
        const table = byName.get(key);
        if (table?.filenode !== row.filenode) return undefined;
        seen.add(key);
        planned.push({
            ...{ table, bytes: row.bytes },
            ...(row.fromPage === null ? {} : { fromPage: row.fromPage }),
            ...(row.toPage === null ? {} : { toPage: row.toPage }),
            ...(row.rows === null ? {} : { rows: row.rows }),
        });
    }
    if (seen.size !== byName.size) return undefined;
    const done = await query(client, z.object({ key: z.string() }), `SELECT key FROM ${entries}`);
    return { parts: planned, entries: new Set(done.map(({ key }) => key)) };
}

/** Within the transaction that copied the part. */
export async function recordPart(client: Client, part: TablePart, rows: number): Promise<void> {
    const { table, fromPage = null } = part;
    const { rowCount } = await client.query(
        `UPDATE ${parts} SET rows = $1 WHERE schema = $2 AND name = $3 AND from_page IS NOT DISTINCT FROM $4::bigint`,
        [rows, table.schema, table.name, fromPage],
    );
    if (rowCount !== 1) throw new Error(`${rowCount ?? 0} parts of the copy's plan begin where one should`);
}

/** Within the transaction that ran the statements. */
export async function recordEntry(client: Client, text: string): Promise<void> {
    await client.query(`INSERT INTO ${entries} VALUES ($1)`, [entryKey(text)]);
}

export function entryKey(text: string): string {
    return createHash("sha256").update(text).digest("hex");
}

/** For a copy that is complete and will not be continued. */
export async function forgetCopy(client: Client): Promise<void> {
    await client.query(`DROP TABLE IF EXISTS ${begun}, ${parts}, ${entries}`);
}
