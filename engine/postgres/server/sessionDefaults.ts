/** What a server gives every session of Synapse's role beside what Synapse asks for: `ALTER ROLE … SET`, `ALTER DATABASE … SET`. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { query, type Client } from "../connection.ts";

/**
 * Settings with which Synapse finds other tables, writes nothing, or loses what it was told is safe, and the values with which it does not.
 * Not here: what Synapse sets itself in each session (isolation, `statement_timeout`, `bytea_output`), and what is about speed alone.
 */
const harmless: Readonly<Record<string, RegExp>> = {
    search_path: /^("\$user", *)?public$/i,
    role: /^(none)?$/i,
    default_transaction_read_only: /^(off|false|no|0)$/i,
    session_replication_role: /^origin$/i,
    synchronous_commit: /^(on|true|yes|1|remote_write|remote_apply)$/i,
    transform_null_equals: /^(off|false|no|0)$/i,
    standard_conforming_strings: /^(on|true|yes|1)$/i,
    row_security: /^(on|true|yes|1)$/i,
    zero_damaged_pages: /^(off|false|no|0)$/i,
    ignore_checksum_failure: /^(off|false|no|0)$/i,
    lock_timeout: /^0$/,
    transaction_timeout: /^0$/,
};

const shape = z.object({ scope: z.string(), setting: z.string() });

/**
 * @param client  a session in the database that is looked at; of any other, what holds for all databases is found
 * @returns a line for each setting that changes what Synapse does
 */
export async function harmfulSettings(client: Client, role: string): Promise<string[]> {
    const found = await query(
        client,
        shape,
        `SELECT concat_ws(' in ', CASE WHEN s.setrole = 0 THEN 'all roles' ELSE 'role ' || quote_ident(pg_get_userbyid(s.setrole)) END,
                CASE WHEN s.setdatabase = 0 THEN 'all databases' ELSE 'database ' || quote_ident(current_database()) END) AS scope,
            setting
        FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS setting
        WHERE s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = $1))
            AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        ORDER BY 1, 2`,
        [role],
    );
    return found.flatMap(({ scope, setting }) => {
        const [, name = "", value = ""] = /^([^=]*)=(.*)$/s.exec(setting) ?? [];
        const fine = harmless[name.toLowerCase()];
        return fine === undefined || fine.test(value) ? [] : [`${scope}: ${name} = ${value}`];
    });
}

/** @throws MigrationError SM-E0843 */
export async function refuseHarmfulSettings(client: Client, role: string, where: string): Promise<void> {
    const found = await harmfulSettings(client, role);
    if (found.length === 0) return;
    throw new MigrationError("SM-E0843", {
        where,
        found: found.join("\n"),
        expected: "a server that gives Synapse's sessions PostgreSQL's own defaults in these",
    });
}
