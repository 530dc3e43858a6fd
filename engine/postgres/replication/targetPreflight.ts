/** Whether the target's server can subscribe to the source: its version, the role's rights, its limits, and the way to the source. */
import { z } from "zod";
import { MigrationError, throwAll } from "../../run/errors.ts";
import { describeAddress, queryOne, type Client } from "../connection.ts";
import { replicationName } from "./names.ts";
import { onTarget, type Replication } from "./sides.ts";
import { subscriptionRefusal, upstreamOf } from "./subscription.ts";

/** From this version on a role that is no superuser may make subscriptions. */
const grantable = 160000;

const rightsShape = z.object({
    version: z.number(),
    superuser: z.boolean(),
    member: z.boolean(),
    workers: z.number(),
    origins: z.number(),
    usedOrigins: z.number(),
});

/**
 * The source is connected to by the target's server, in a transaction that is rolled back.
 *
 * @throws MigrationError or MigrationErrors SM-E1302, SM-E1304
 */
export async function preflightTarget({ run, ...replication }: Replication): Promise<void> {
    const { target, source, seenFromTarget, passwordFile } = replication;
    const where = describeAddress(target);
    await onTarget({ run, ...replication }, async (client) => {
        throwAll(await targetProblems(client, target.user, where));
        const upstream = upstreamOf(source, seenFromTarget, passwordFile);
        const refusal = await subscriptionRefusal(client, replicationName(run.id), upstream);
        if (refusal !== undefined)
            throw new MigrationError("SM-E1304", {
                where: `${upstream.host}:${upstream.port}, as seen from the target's server ${where}`,
                found: refusal,
                expected: "a server that lets the target's server connect",
            });
    });
}

/**
 * What the server lacks, whatever the database. Only reads.
 *
 * @param role  that will make the subscription: the session's own
 */
export async function targetProblems(client: Client, role: string, where: string): Promise<MigrationError[]> {
    const rights = await queryOne(
        client,
        rightsShape,
        `SELECT current_setting('server_version_num')::int AS version, rolsuper AS superuser,
            EXISTS (SELECT FROM pg_roles p WHERE p.rolname = 'pg_create_subscription' AND pg_has_role(p.oid, 'USAGE')) AS member,
            current_setting('max_logical_replication_workers')::int AS workers,
            coalesce(current_setting('max_active_replication_origins', true), current_setting('max_replication_slots'))::int AS origins,
            (SELECT count(*)::int FROM pg_replication_origin) AS "usedOrigins"
        FROM pg_roles r WHERE r.rolname = current_user`,
    );
    const problems: MigrationError[] = [];
    if (!rights.superuser && !rights.member)
        problems.push(
            new MigrationError("SM-E1302", {
                where,
                found: `role "${role}" may not make subscriptions`,
                expected:
                    rights.version >= grantable
                        ? "a member of pg_create_subscription"
                        : "a superuser, before PostgreSQL 16",
                fix:
                    rights.version >= grantable
                        ? `as a superuser: GRANT pg_create_subscription TO ${client.escapeIdentifier(role)}`
                        : "let config target.database name a superuser as `admin`, or use a server of PostgreSQL 16 or newer",
            }),
        );
    if (rights.workers < 1 || rights.usedOrigins >= rights.origins)
        problems.push(
            new MigrationError("SM-E1304", {
                where,
                found: `max_logical_replication_workers = ${rights.workers}, ${rights.usedOrigins} of ${rights.origins} replication origins in use`,
                expected: "one worker and one origin that are free",
                fix: "raise max_logical_replication_workers, or max_replication_slots (from PostgreSQL 18 on max_active_replication_origins), and restart the server",
            }),
        );
    return problems;
}
