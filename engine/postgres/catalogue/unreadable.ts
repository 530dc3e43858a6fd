/** What of a database a role may not read, and so cannot move; and whose the rest is. */
import { z } from "zod";
import { query, type Client } from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";

/** Schemas that are moved. */
const moved = `n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', '${markerSchema}')`;
/** What an extension brings is brought by it, but for the tables whose rows it asks to have dumped. */
const carried = `NOT EXISTS (SELECT FROM pg_depend e JOIN pg_extension x ON x.oid = e.refobjid
    WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e' AND NOT coalesce(c.oid = ANY (x.extconfig), false))`;

/**
 * Tables, sequences and large objects that the session's role may not read, in every schema that is moved: each of them ends a dump as a whole.
 * Asked of the catalogue: nothing is read or locked.
 */
export async function unreadableObjects(client: Client): Promise<string[]> {
    const found = await query(
        client,
        z.object({ object: z.string() }),
        `SELECT CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || c.oid::regclass::text || ' of ' || pg_get_userbyid(c.relowner)
            || CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') THEN ': no USAGE on its schema'
                WHEN NOT has_table_privilege(c.oid, 'SELECT') THEN ': no SELECT'
                ELSE ': row security hides rows' END AS object
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'p', 'S') AND ${moved} AND ${carried}
            AND NOT (has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
                AND (c.relkind = 'S' OR NOT row_security_active(c.oid)))
        UNION ALL
        SELECT 'large object ' || l.oid || ' of ' || pg_get_userbyid(l.lomowner) || ': no SELECT' FROM pg_largeobject_metadata l
        WHERE NOT pg_has_role(l.lomowner, 'USAGE') AND NOT EXISTS (SELECT FROM aclexplode(l.lomacl) a
            WHERE a.privilege_type = 'SELECT' AND (a.grantee = 0 OR pg_has_role(a.grantee, 'USAGE')))
        ORDER BY 1`,
    );
    return found.map(({ object }) => object);
}

/** `schema bridge of bridge, 12 tables`: what lies beside Synapse's own in the same database, and tables of others among Synapse's. */
export async function guests(client: Client): Promise<string[]> {
    const found = await query(
        client,
        z.object({ guest: z.string() }),
        `SELECT 'schema ' || quote_ident(n.nspname) || ' of ' || pg_get_userbyid(n.nspowner) || ', '
            || (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relkind IN ('r', 'p')) || ' tables' AS guest
        FROM pg_namespace n WHERE ${moved} AND n.nspname <> 'public'
            AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e')
        UNION ALL
        SELECT 'table ' || c.oid::regclass::text || ' of ' || pg_get_userbyid(c.relowner)
        FROM pg_class c JOIN pg_class events ON events.oid = to_regclass('public.events')
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = events.relnamespace AND c.relowner <> events.relowner AND ${carried}
        ORDER BY 1`,
    );
    return found.map(({ guest }) => guest);
}
