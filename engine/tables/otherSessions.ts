/** Who else is connected to the database that rows are merged into. */
import { z } from "zod";
import { query, type Client } from "../postgres/connection.ts";
import { MigrationError } from "../run/errors.ts";
import { until } from "../run/until.ts";

const mostShown = 5;
const sessionShape = z.object({ pid: z.number(), application: z.string().nullable(), role: z.string().nullable() });

/**
 * Sessions of other roles count too: PostgreSQL tells us no more of them than that they are there (manual 28.2.3).
 *
 * @param patienceSeconds  how long sessions may take to go; in a transaction 0, as it sees one state of them
 * @throws MigrationError SM-E0986
 */
export async function refuseOthers(client: Client, where: string, patienceSeconds: number): Promise<void> {
    let sessions: z.infer<typeof sessionShape>[] = [];
    await until(
        async () => {
            sessions = await query(
                client,
                sessionShape,
                `SELECT pid, application_name AS application, usename AS role FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND usesysid IS NOT NULL
                    AND coalesce(backend_type, 'client backend') IN ('client backend', 'walsender') ORDER BY pid`,
            );
            return sessions.length === 0 || undefined;
        },
        { seconds: patienceSeconds },
        () =>
            new MigrationError("SM-E0986", {
                where,
                found: sessions
                    .slice(0, mostShown)
                    .map(
                        ({ pid, application, role }) =>
                            `pid ${pid}, application "${application ?? ""}", role ${role ?? ""}`,
                    )
                    .join("\n"),
                expected: "no other session",
            }),
    );
}
