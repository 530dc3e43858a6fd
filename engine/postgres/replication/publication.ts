/** The publication on the source: a list of tables, as only a superuser may publish all there are. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { query, quotedName, type Client } from "../connection.ts";
import { publishedTables } from "./replicaIdentity.ts";

/** Publishes every table that is logged. Each must have a replica identity already. @returns how many tables */
export async function createPublication(client: Client, name: string): Promise<number> {
    const tables = await query(
        client,
        z.object({ schema: z.string(), table: z.string() }),
        `SELECT n.nspname AS schema, c.relname AS table FROM ${publishedTables} ORDER BY c.oid`,
    );
    const list = tables.map(({ schema, table }) => `ONLY ${quotedName(schema, table)}`).join(", ");
    await client.query(`CREATE PUBLICATION ${escapeIdentifier(name)} FOR TABLE ${list}`);
    return tables.length;
}

export async function dropPublication(client: Client, name: string): Promise<void> {
    await client.query(`DROP PUBLICATION IF EXISTS ${escapeIdentifier(name)}`);
}
