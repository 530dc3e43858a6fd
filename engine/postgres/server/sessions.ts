/** Who else is connected to a database. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { query, type Client } from "../connection.ts";

/**
 * PostgreSQL does not rename a database while sessions are connected to it. This only names them: it ends none, as they may be at work.
 *
 * @throws MigrationError SM-E0709 naming process id, application and role of each session
 */
export async function refuseSessions(client: Client, databases: readonly string[]): Promise<void> {
    const sessions = await query(
        client,
        z.object({
            database: z.string(),
            pid: z.number(),
            application: z.string().nullable(),
            role: z.string().nullable(),
        }),
        `SELECT datname AS database, pid, application_name AS application, usename AS role FROM pg_stat_activity
        WHERE datname = ANY ($1) AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
            AND pid <> pg_backend_pid() ORDER BY pid`,
        [databases],
    );
    if (sessions.length === 0) return;
    throw new MigrationError("SM-E0709", {
        where: databases.join(", "),
        found: sessions
            .slice(0, 5)
            .map(
                ({ database, pid, application, role }) =>
                    `pid ${pid}, application "${application ?? ""}", role ${role ?? "unknown"}, database ${database}`,
            )
            .join("\n"),
        expected: "no sessions",
    });
}
