/** The table of the marker: kept out of the reach of the database's owner, and looked at before anything of it is used. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { query, queryOne, type Client } from "../connection.ts";

/** Our own schema; left out wherever databases are compared. */
export const markerSchema = "synapse_migration";
export const markerTable = `${markerSchema}.marker`;

/** Its columns, none of which has a type of the database's owner: a cast of such a type is a function of theirs. */
const columns =
    "'created_at timestamp with time zone, only_row boolean, run text, server_name text, state text, updated_at timestamp with time zone'";

/**
 * What of a table would run somebody's code when it is read or written, or show other rows than its own: nothing of this does our marker
 * have. Names must be looked up in `pg_catalog` alone, as the sessions of `withClient` do.
 */
const faultsQuery = `SELECT fault FROM (
    SELECT c.relkind <> 'r' AS is, 'not a table but a relation of kind ' || c.relkind::text AS fault FROM found c
    UNION ALL SELECT c.relpersistence <> 'p', 'not permanent' FROM found c
    UNION ALL SELECT c.relrowsecurity OR c.relforcerowsecurity, 'row security' FROM found c
    UNION ALL SELECT true, 'policy ' || p.polname FROM pg_policy p JOIN found c ON c.oid = p.polrelid
    UNION ALL SELECT true, 'trigger ' || t.tgname FROM pg_trigger t JOIN found c ON c.oid = t.tgrelid
    UNION ALL SELECT true, 'rule ' || r.rulename FROM pg_rewrite r JOIN found c ON c.oid = r.ev_class
    UNION ALL SELECT true, 'inheritance' FROM pg_inherits i JOIN found c ON c.oid IN (i.inhrelid, i.inhparent)
    UNION ALL SELECT true, 'constraint ' || o.conname FROM pg_constraint o JOIN found c ON c.oid = o.conrelid
        WHERE NOT (o.contype IN ('n', 'p') OR o.contype = 'c' AND pg_get_constraintdef(o.oid) = 'CHECK (only_row)')
    UNION ALL SELECT true, 'index ' || x.relname FROM pg_index i JOIN found c ON c.oid = i.indrelid JOIN pg_class x ON x.oid = i.indexrelid
        WHERE NOT i.indisprimary OR i.indexprs IS NOT NULL OR i.indpred IS NOT NULL
    UNION ALL SELECT true, 'columns ' || coalesce(string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', '), 'none')
        FROM found c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        HAVING string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || a.attgenerated::text, ', ' ORDER BY a.attname) IS DISTINCT FROM ${columns}
    ) faults WHERE faults.is`;
const withFound = `WITH found AS (SELECT * FROM pg_class WHERE oid = to_regclass('${markerTable}'))`;

/**
 * Runs the work in a transaction that has locked the marker's table, once it has been seen to be a plain one.
 *
 * @param mode  `read`: nobody can replace the table meanwhile; `write`: nor give it a trigger
 * @returns undefined when there is no marker
 * @throws MigrationError SM-E0730 naming what the table has that a marker has not
 */
export async function withMarkerTable<T>(
    client: Client,
    mode: "read" | "write",
    work: () => Promise<T>,
): Promise<T | undefined> {
    if (!(await isThere(client))) return undefined;
    await refuseTrap(client);
    return inTransaction(client, async () => {
        await client.query(
            `LOCK TABLE ${markerTable} IN ${mode === "read" ? "ACCESS SHARE" : "SHARE ROW EXCLUSIVE"} MODE`,
        );
        // What it was before the lock is no answer.
        await refuseTrap(client);
        if (mode === "write") await takeOver(client);
        return work();
    });
}

/**
 * Makes the table where there is none, out of the reach of the database's owner, and runs the work in the same transaction. To be done before
 * anything of somebody else's is loaded into the database.
 *
 * The owner may look at the marker, as otherwise no dump of theirs would end well, and has a place for tables of its own beside it, such as
 * those of a copy that is to be continued: making things in a schema gives no right to what is there already.
 *
 * @throws MigrationError SM-E0730 for a table of the name that is no marker
 */
export async function withNewMarkerTable(client: Client, work: () => Promise<void>): Promise<void> {
    if (await isThere(client)) {
        await withMarkerTable(client, "write", work);
        return;
    }
    await inTransaction(client, async () => {
        await client.query(`CREATE SCHEMA IF NOT EXISTS ${markerSchema}`);
        await client.query(
            `CREATE TABLE ${markerTable} (
                only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
                run text NOT NULL,
                server_name text NOT NULL,
                state text NOT NULL,
                created_at timestamptz NOT NULL DEFAULT now(),
                updated_at timestamptz NOT NULL DEFAULT now())`,
        );
        await takeOver(client, true);
        await work();
    });
}

async function isThere(client: Client): Promise<boolean> {
    const shape = z.object({ there: z.boolean() });
    return (await queryOne(client, shape, `SELECT to_regclass('${markerTable}') IS NOT NULL AS there`)).there;
}

async function refuseTrap(client: Client): Promise<void> {
    const faults = await query(client, z.object({ fault: z.string() }), `${withFound} ${faultsQuery}`);
    if (faults.length === 0) return;
    throw new MigrationError("SM-E0730", {
        where: `table ${markerTable} of database ${client.database ?? ""}`,
        found: faults.map(({ fault }) => fault).join(", "),
        expected: "a plain table, as this program makes it",
    });
}

const standing = z.object({ owner: z.string(), reachable: z.boolean(), independent: z.boolean() });

/**
 * Makes schema and table ours where the database's owner could change them and cannot become us: earlier versions have left them to that role.
 * What a role was granted besides is taken away.
 *
 * @param made  the table is new: the owner is given their rights in any case
 */
async function takeOver(client: Client, made = false): Promise<void> {
    const { owner, reachable, independent } = await queryOne(
        client,
        standing,
        `${withFound} SELECT pg_get_userbyid(d.datdba)::text AS owner,
            pg_has_role(d.datdba, c.relowner, 'MEMBER') OR pg_has_role(d.datdba, n.nspowner, 'MEMBER') AS reachable,
            NOT pg_has_role(d.datdba, current_user, 'MEMBER') AS independent
        FROM found c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_database d ON d.datname = current_database()`,
    );
    // The owner itself, as in a database that nobody else looks after, changes nothing.
    if (!independent || !(reachable || made)) return;
    await client.query(
        `ALTER SCHEMA ${markerSchema} OWNER TO CURRENT_USER; ALTER TABLE ${markerTable} OWNER TO CURRENT_USER`,
    );
    const granted = await query(
        client,
        z.object({ grantee: z.string() }),
        `${withFound} SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
        FROM found c CROSS JOIN LATERAL aclexplode(c.relacl) a WHERE a.grantee <> c.relowner`,
    );
    for (const { grantee } of granted) await client.query(`REVOKE ALL ON ${markerTable} FROM ${grantee} CASCADE`);
    const role = escapeIdentifier(owner);
    await client.query(
        `GRANT USAGE, CREATE ON SCHEMA ${markerSchema} TO ${role}; GRANT SELECT ON ${markerTable} TO ${role}`,
    );
}

async function inTransaction<T>(client: Client, work: () => Promise<T>): Promise<T> {
    await client.query("BEGIN");
    try {
        const result = await work();
        await client.query("COMMIT");
        return result;
    } catch (error) {
        await client.query("ROLLBACK").catch(() => undefined);
        throw error;
    }
}
