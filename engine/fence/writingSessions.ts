/** Who is connected to a database beside us, and whether anybody holds it open for writing. */
import type { ClientBase } from "pg";
import { z } from "zod";
import { MigrationError } from "../run/errors.ts";
import { until } from "../run/until.ts";
import { replicationPrefix } from "../postgres/replication/names.ts";

/** Connections of a server that has just been stopped end within this time. */
const sessionsGoneSeconds = 10;

const session = z.object({
    pid: z.number(),
    application: z.string(),
    role: z.string().nullable(),
    address: z.string().nullable(),
    /** Of the client; -1 for a local socket. Null where PostgreSQL does not tell it of another role's session. */
    port: z.number().nullable(),
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
        `SELECT pid, coalesce(application_name, '') AS application, usename AS role, client_addr::text AS address, client_port AS port, state
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
async function exclusiveLockRefusal(client: ClientBase): Promise<string | undefined> {
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

/**
 * Waits until nobody else is connected.
 *
 * @returns how many sessions have ended
 * @throws MigrationError SM-E0702 naming who stays
 */
export async function sessionsGone(client: ClientBase): Promise<number> {
    const first = await foreignSessions(client);
    let left = first;
    await until(
        async () => {
            left = await foreignSessions(client);
            return left.length === 0 || undefined;
        },
        { seconds: sessionsGoneSeconds, everyMilliseconds: 200 },
        () => stillLive(listed(left)),
    );
    return first.length;
}

/** @throws MigrationError SM-E0702 for a transaction that has written, or is prepared */
export async function refuseOpenTransactions(client: ClientBase): Promise<void> {
    const refusal = await exclusiveLockRefusal(client);
    if (refusal !== undefined) throw stillLive(`an exclusive lock was refused: ${refusal}`);
    const { rows } = await client.query(
        "SELECT count(*)::int AS prepared FROM pg_prepared_xacts WHERE database = current_database()",
    );
    const [{ prepared }] = z.tuple([z.object({ prepared: z.number() })]).parse(rows);
    if (prepared > 0) throw stillLive(`${prepared} prepared transactions wait to be committed`);
}

/** Sessions as an error shows them. */
export const listed = (sessions: Session[]): string =>
    `sessions on its database:\n${sessions.slice(0, 8).map(describeSession).join("\n")}`;

/** SM-E0702, which stops what would start a second homeserver. */
export function stillLive(found: string): MigrationError {
    return new MigrationError("SM-E0702", {
        where: "the source homeserver",
        found,
        expected: "no session, no open transaction, and streams that stand still",
        changed:
            "the source was stopped; declare phase `stage` to start it again, or end what is named above and run this again",
    });
}
