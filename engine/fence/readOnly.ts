/** The setting that keeps new sessions of a fenced database from writing, and the way back to what it was. */
import type { ClientBase } from "pg";
import { z } from "zod";

/** What the database itself sets, not what is in force in this session. */
export async function readOnlySetting(client: ClientBase): Promise<string | null> {
    const { rows } = await client.query(
        `SELECT split_part(setting, '=', 2) AS value
         FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase, unnest(setconfig) AS setting
         WHERE setrole = 0 AND datname = current_database() AND setting LIKE 'default_transaction_read_only=%'`,
    );
    return z.array(z.object({ value: z.string() })).parse(rows)[0]?.value ?? null;
}

/** New sessions of the source cannot write, even if somebody starts it again. */
export async function makeReadOnly(client: ClientBase, database: string): Promise<void> {
    await client.query("SET default_transaction_read_only = off");
    await client.query(`ALTER DATABASE ${client.escapeIdentifier(database)} SET default_transaction_read_only = on`);
}

export async function restoreReadOnly(client: ClientBase, database: string, before: string | null): Promise<void> {
    const change = `ALTER DATABASE ${client.escapeIdentifier(database)}`;
    // This session began read-only, as every session of a fenced database does.
    await client.query("SET default_transaction_read_only = off");
    if (before === null) await client.query(`${change} RESET default_transaction_read_only`);
    else await client.query(`${change} SET default_transaction_read_only = ${client.escapeLiteral(before)}`);
}
