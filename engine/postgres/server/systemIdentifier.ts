/** Which data directory a server has. */
import type { ClientBase } from "pg";
import { z } from "zod";

const permission = z.array(z.object({ allowed: z.boolean() })).length(1);
const identifier = z.array(z.object({ system: z.string() })).length(1);

/** What a person is told where it is null. */
export const unknownSystem =
    "the role may not execute pg_control_system(): two servers are told apart by the database's oid alone";

/**
 * Of the cluster, made by initdb; a physical copy has the same. Null where the role may not execute `pg_control_system()`, as hosting
 * providers have it.
 *
 * Two statements: PostgreSQL checks the right for a function when it prepares a statement, whether the function is then called or not.
 */
export async function readSystemIdentifier(client: ClientBase): Promise<string | null> {
    const { rows } = await client.query("SELECT has_function_privilege('pg_control_system()', 'EXECUTE') AS allowed");
    const [{ allowed } = { allowed: false }] = permission.parse(rows);
    if (!allowed) return null;
    const read = await client.query("SELECT system_identifier::text AS system FROM pg_control_system()");
    return identifier.parse(read.rows)[0]?.system ?? null;
}
