/** What of a copy is done, in the target itself: written in the transaction that did it, so that it is true after any crash. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { query, type Client } from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";
import type { CopiedTable, TablePart } from "./tableParts.ts";

const begunName = "copy";
const begun = `${markerSchema}.${begunName}`;
const parts = `${markerSchema}.copy_part`;
const entries = `${markerSchema}.copy_entry`;

const partShape = z.object({
    id: z.number().int(),
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
    readonly id: number;
    readonly rows?: number;
}

/** Where an earlier attempt stopped. */
export interface CopyProgress {
    readonly parts: readonly PlannedPart[];
    /** Keys of what was done after the rows; see {@link entryKey}. */
    readonly entries: ReadonlySet<string>;
}

/** Whether the database holds a copy that this very role has begun out of the source in that state, with its tables made. */
export async function hasCopy(client: Client, state: string): Promise<boolean> {
    const mine = await query(
        client,
        z.object({ name: z.string() }),
        `SELECT c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_roles r ON r.oid = c.relowner
        WHERE n.nspname = '${markerSchema}' AND c.relname = '${begunName}' AND r.rolname = current_user`,
    );
    if (mine.length === 0) return false;
    const found = await query(client, z.object({ state: z.string() }), `SELECT state FROM ${begun}`);
    return found[0]?.state === state;
}

/** Writes the plan down once all tables are there. */
export async function beginJournal(client: Client, state: string, plan: readonly TablePart[]): Promise<PlannedPart[]> {
    const planned = plan.map((part, id) => ({ ...part, id }));
    await client.query("BEGIN");
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${markerSchema}`);
    await client.query(`DROP TABLE IF EXISTS ${begun}, ${parts}, ${entries}`);
    await client.query(`CREATE TABLE ${begun} (state text NOT NULL)`);
    await client.query(
        `CREATE TABLE ${parts} (id int PRIMARY KEY, schema text NOT NULL, name text NOT NULL, filenode text NOT NULL, from_page bigint, to_page bigint,
            bytes bigint NOT NULL, rows bigint)`,
    );
    await client.query(`CREATE TABLE ${entries} (key text PRIMARY KEY)`);
    await client.query(`INSERT INTO ${begun} VALUES ($1)`, [state]);
    const rows = planned.map(({ id, table: { schema, name, filenode }, fromPage = null, toPage = null, bytes }) => ({
        ...{ id, schema, name, filenode, from_page: fromPage, to_page: toPage, bytes },
    }));
    await client.query(`INSERT INTO ${parts} SELECT * FROM json_populate_recordset(NULL::${parts}, $1)`, [
        JSON.stringify(rows),
    ]);
    await client.query("COMMIT");
    return planned;
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
        `SELECT id, schema, name, filenode, from_page AS "fromPage", to_page AS "toPage", bytes, rows FROM ${parts}`,
    );
    const planned: PlannedPart[] = [];
    const seen = new Set<string>();
    for (const row of rows) {
        const key = `${row.schema}.${row.name}`;
        const table = byName.get(key);
        if (table?.filenode !== row.filenode) return undefined;
        seen.add(key);
        planned.push({
            ...{ id: row.id, table, bytes: row.bytes },
            ...(row.fromPage === null ? {} : { fromPage: row.fromPage }),
            ...(row.toPage === null ? {} : { toPage: row.toPage }),
            ...(row.rows === null ? {} : { rows: row.rows }),
        });
    }
    if (seen.size !== byName.size) return undefined;
    const done = await query(client, z.object({ key: z.string() }), `SELECT key FROM ${entries}`);
    return { parts: planned, entries: new Set(done.map(({ key }) => key)) };
}

/** For the transaction that copied the part. */
export function partDone({ id }: PlannedPart, rows: number): string {
    return `UPDATE ${parts} SET rows = ${rows} WHERE id = ${id}`;
}

/** For the transaction that ran the statements. */
export function entryDone(text: string): string {
    return `INSERT INTO ${entries} VALUES ('${entryKey(text)}')`;
}

export function entryKey(text: string): string {
    return createHash("sha256").update(text).digest("hex");
}

/** For a copy that will not be continued. As the database's owner; nothing where another way has filled it. */
export async function forgetCopy(client: Client): Promise<void> {
    await client.query(`DROP TABLE IF EXISTS ${begun}, ${parts}, ${entries}`);
}
