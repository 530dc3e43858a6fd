/** Unlogged tables are never replicated. They are small and are copied once more when nobody writes any longer. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { query, quotedName, type Client } from "../connection.ts";
import { copyIn, copyStreamBytes } from "../copyIn.ts";
import { CopyOut } from "../directCopy/copyOut.ts";
import { publishedTables } from "./replicaIdentity.ts";

const tableShape = z.object({
    schema: z.string(),
    name: z.string(),
    bytes: z.coerce.number(),
    columns: z.array(z.string()),
});
export type UnloggedTable = z.infer<typeof tableShape>;

/** All unlogged tables of the homeserver, in the order of their making. */
export async function unloggedTables(client: Client): Promise<UnloggedTable[]> {
    return query(
        client,
        tableShape,
        `SELECT n.nspname AS schema, c.relname AS name, pg_relation_size(c.oid)::text AS bytes,
            coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '[]') AS columns
        FROM ${publishedTables.replace("c.relpersistence = 'p'", "c.relpersistence = 'u'")} ORDER BY c.oid`,
    );
}

/**
 * Replaces the target's rows by the source's, all tables in one transaction: what refers to a table that comes later is checked at its
 * end, where the foreign key allows that. Triggers were run on the source already.
 *
 * @param target  as the owner of the tables
 */
export async function copyUnlogged(source: Client, target: Client): Promise<number> {
    const tables = await unloggedTables(source);
    if (tables.length === 0) return 0;
    const names = tables.map(({ schema, name }) => quotedName(schema, name));
    await target.query("BEGIN");
    try {
        await target.query(`TRUNCATE ${names.join(", ")}`);
        await target.query("SET CONSTRAINTS ALL DEFERRED");
        for (const [index, { columns }] of tables.entries()) {
            const table = names[index] ?? "";
            const list = columns.map(escapeIdentifier).join(", ");
            await target.query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
            const rows = source.query(new CopyOut(`COPY ${table} (${list}) TO STDOUT`, copyStreamBytes));
            await copyIn(target, `COPY ${table} (${list}) FROM STDIN`, rows);
        }
        // Checks what was deferred now: a table with checks that are still to come cannot be altered.
        await target.query("SET CONSTRAINTS ALL IMMEDIATE");
        for (const table of names) await target.query(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
        await target.query("COMMIT");
        return tables.length;
    } catch (error) {
        await target.query("ROLLBACK").catch(() => undefined);
        throw error;
    }
}
