/**
 * The subscription on the target, which takes over what the source's slot hands out.
 *
 * Its connection string is in the catalogue `pg_subscription`, column `subconninfo`, which only superusers of the target's server may
 * read; it is gone with the subscription. Where the target's server is our own, the password is in a file beside it instead.
 */
import { escapeIdentifier, escapeLiteral } from "pg";
import { z } from "zod";
import type { DatabaseTls } from "../../synapse/config/databaseTls.ts";
import { query, type Client, type DatabaseAddress } from "../connection.ts";
import { tlsParameters } from "../databaseTls.ts";

/** How the target's server reaches the source's. */
export interface Upstream {
    readonly host: string;
    readonly port: number;
    readonly database: string;
    readonly user: string;
    readonly password?: string | undefined;
    /** On the target's machine, readable by its server. Then the password is not part of the connection string. */
    readonly passwordFile?: string | undefined;
    /** Its files are read by the target's server. */
    readonly tls?: DatabaseTls | undefined;
}

/**
 * As the target's server sees it, where that is another address than ours.
 *
 * Certificates of another machine are not there, where the target's server looks for them.
 */
export function upstreamOf(
    { host, port, name, user, password, tls }: DatabaseAddress,
    seen: { readonly host: string; readonly port: number } = { host, port },
    passwordFile?: string,
): Upstream {
    return { ...seen, database: name, user, password, passwordFile, tls };
}

/** libpq's form (PostgreSQL manual 34.1.1.1). Holds the password. */
export function connectionString({ host, port, database, user, password, passwordFile, tls }: Upstream): string {
    const secret = passwordFile !== undefined ? { passfile: passwordFile } : password === undefined ? {} : { password };
    const fields = {
        host,
        port: String(port),
        dbname: database,
        user,
        ...secret,
        ...tlsParameters(tls),
        connect_timeout: "10",
    };
    return Object.entries(fields)
        .map(([name, value]) => `${name}='${value.replace(/[\\']/g, "\\$&")}'`)
        .join(" ");
}

/**
 * Subscribes to what the slot has held back since it was made: it begins exactly where the copy was taken.
 *
 * @throws the server's own error, which never shows the connection string
 */
export async function createSubscription(client: Client, name: string, upstream: Upstream): Promise<void> {
    await withoutLog(client);
    await client.query(
        `CREATE SUBSCRIPTION ${escapeIdentifier(name)} CONNECTION ${escapeLiteral(connectionString(upstream))}
        PUBLICATION ${escapeIdentifier(name)}
        WITH (create_slot = false, slot_name = ${escapeLiteral(name)}, copy_data = false, enabled = true, streaming = on,
            synchronous_commit = off)`,
    );
}

/**
 * Whether the target's server can subscribe to the source: it connects, and everything is rolled back.
 *
 * @returns what the server said, or undefined when all is well
 */
export async function subscriptionRefusal(
    client: Client,
    name: string,
    upstream: Upstream,
): Promise<string | undefined> {
    await withoutLog(client);
    await client.query("BEGIN");
    try {
        await client.query(
            `CREATE SUBSCRIPTION ${escapeIdentifier(`${name}_probe`)} CONNECTION ${escapeLiteral(connectionString(upstream))}
            PUBLICATION ${escapeIdentifier(name)} WITH (create_slot = false, slot_name = NONE, copy_data = false, enabled = false)`,
        );
        return undefined;
    } catch (error) {
        return error instanceof Error ? error.message : String(error);
    } finally {
        await client.query("ROLLBACK");
    }
}

/** Removes the subscription without asking the source, which may be gone: its slot is dropped there. @returns whether there was one */
export async function dropSubscription(client: Client, name: string): Promise<boolean> {
    if ((await readSubscription(client, name)) === undefined) return false;
    const subscription = escapeIdentifier(name);
    await client.query(`ALTER SUBSCRIPTION ${subscription} DISABLE`);
    await client.query(`ALTER SUBSCRIPTION ${subscription} SET (slot_name = NONE)`);
    await client.query(`DROP SUBSCRIPTION ${subscription}`);
    return true;
}

const subscriptionShape = z.object({
    enabled: z.boolean(),
    /** Tables whose state is not `r`, ready: none, as nothing is copied by the subscription. */
    notReady: z.number(),
    /** The worker that applies changes; null while there is none. */
    worker: z.number().nullable(),
    /** Times that a change could not be applied, or the connection was lost; null before PostgreSQL 15, which does not count. */
    errors: z.number().nullable(),
});
export type SubscriptionState = z.infer<typeof subscriptionShape>;

/** Undefined where the database has no subscription of this name. */
export async function readSubscription(client: Client, name: string): Promise<SubscriptionState | undefined> {
    const { counted } = z
        .object({ counted: z.boolean() })
        .parse(
            (await client.query("SELECT to_regclass('pg_catalog.pg_stat_subscription_stats') IS NOT NULL AS counted"))
                .rows[0],
        );
    const errors = counted
        ? "(SELECT (e.apply_error_count + e.sync_error_count)::int FROM pg_stat_subscription_stats e WHERE e.subid = s.oid)"
        : "NULL";
    const [row] = await query(
        client,
        subscriptionShape,
        `SELECT s.subenabled AS enabled,
            (SELECT count(*)::int FROM pg_subscription_rel r WHERE r.srsubid = s.oid AND r.srsubstate <> 'r') AS "notReady",
            (SELECT w.pid FROM pg_stat_subscription w WHERE w.subid = s.oid AND w.relid IS NULL AND w.pid IS NOT NULL LIMIT 1)
                AS worker,
            ${errors} AS errors
        FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
        WHERE s.subname = $1 AND d.datname = current_database()`,
        [name],
    );
    return row;
}

/** A server that logs statements would log the password with this one. Only a superuser may keep it from that. */
async function withoutLog(client: Client): Promise<void> {
    const { superuser } = z
        .object({ superuser: z.boolean() })
        .parse((await client.query("SELECT rolsuper AS superuser FROM pg_roles WHERE rolname = current_user")).rows[0]);
    if (!superuser) return;
    await client.query(
        "SET log_statement = none; SET log_min_error_statement = panic; SET log_min_duration_statement = -1; SET log_duration = off",
    );
}
