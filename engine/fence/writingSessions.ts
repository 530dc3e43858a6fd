/** Who is connected to a database beside us, and whether anybody holds it open for writing. */
import type { ClientBase } from "pg";
import { z } from "zod";
import { replicationPrefix } from "../postgres/replication/names.ts";

const session = z.object({
    pid: z.number(),
    application: z.string(),
    role: z.string().nullable(),
    address: z.string().nullable(),
    state: z.string().nullable(),
});
export type Session = z.infer<typeof session>;

/**
 * Client sessions of the current database except this tool's own, which name themselves `synapse-migration …`, and what reads from a slot
 * of this tool: a target that follows, and writes nothing here.
 *
 * Of another role's session PostgreSQL may tell no more than that it is there, without its `backend_type` (manual 28.2.3): it counts.
 */
export async function foreignSessions(client: ClientBase): Promise<Session[]> {
    const { rows } = await client.query(
        `SELECT pid, coalesce(application_name, '') AS application, usename AS role, client_addr::text AS address, state
         FROM pg_stat_activity
         WHERE datname = current_database() AND usesysid IS NOT NULL
           AND coalesce(backend_type, 'client backend') = 'client backend'
           AND NOT EXISTS (SELECT FROM pg_replication_slots s WHERE s.active_pid = pid AND starts_with(s.slot_name, '${replicationPrefix}'))
           AND pid <> pg_backend_pid() AND coalesce(application_name, '') NOT LIKE 'synapse-migration%'
         ORDER BY pid`,
    );
    return z.array(session).parse(rows);
}

export function describeSession({ pid, application, role, address, state }: Session): string {
    return `pid ${pid}, application "${application}", role ${role ?? "unknown"}, from ${address ?? "a local socket"}, ${state ?? "state unknown"}`;
}

/**
 * Takes an exclusive lock on every table and gives it back: it fails while any transaction that has written is open.
 * The idea is syn2mas'. Exclusive locks are allowed in read-only transactions (PostgreSQL `utility.c`).
 *
 * @returns the error's text where the lock was refused
 */
export async function exclusiveLockRefusal(client: ClientBase): Promise<string | undefined> {
    const { rows } = await client.query(
        `SELECT string_agg(format('%I.%I', schemaname, tablename), ', ' ORDER BY schemaname, tablename) AS tables
         FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'synapse_migration')`,
    );
    const [{ tables }] = z.tuple([z.object({ tables: z.string().nullable() })]).parse(rows);
    if (tables === null) return undefined;
    await client.query("BEGIN TRANSACTION READ ONLY");
    try {
        await client.query(`LOCK TABLE ${tables} IN EXCLUSIVE MODE NOWAIT`);
        return undefined;
    } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "55P03") return error.message;
        throw error;
    } finally {
        await client.query("ROLLBACK");
    }
}
