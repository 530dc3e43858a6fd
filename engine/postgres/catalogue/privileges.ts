/** Who may do what with the objects of a database beside what PostgreSQL gives by itself, and what their owners may not do any more. */
import { z } from "zod";
import { query, type Client } from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";

const shape = z.object({
    object: z.string(),
    /** A role, or PUBLIC. */
    grantee: z.string(),
    privilege: z.string(),
    /** The owner lacks it; everybody else has it. */
    lacking: z.boolean(),
});
export type ChangedPrivilege = z.infer<typeof shape>;

/**
 * Grants and revocations that are not those an object is made with. Of PUBLIC, what initdb gives on schema public is the measure (nothing may be
 * made there from PostgreSQL 15 on); columns count as their tables do. What belongs to extensions, to PostgreSQL and to this program is left out.
 */
export function changedPrivileges(client: Client): Promise<ChangedPrivilege[]> {
    return query(
        client,
        shape,
        `WITH objects AS (
            SELECT 'pg_class'::regclass AS catalogue, c.oid, CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char" AS kind,
                c.relowner AS owner, c.relacl AS acl, s.nspname AS schema,
                CASE c.relkind WHEN 'S' THEN 'sequence ' ELSE 'table ' END || format('%I.%I', s.nspname, c.relname) AS name
            FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
            UNION ALL
            SELECT 'pg_proc'::regclass, p.oid, 'f', p.proowner, p.proacl, s.nspname,
                'function ' || format('%I.%I(%s)', s.nspname, p.proname, pg_get_function_identity_arguments(p.oid))
            FROM pg_proc p JOIN pg_namespace s ON s.oid = p.pronamespace
            UNION ALL
            SELECT 'pg_namespace'::regclass, s.oid, 'n', s.nspowner, s.nspacl, s.nspname, 'schema ' || quote_ident(s.nspname)
            FROM pg_namespace s
            UNION ALL
            SELECT 'pg_database'::regclass, d.oid, 'd', d.datdba, d.datacl, 'public', 'the database' FROM pg_database d
            WHERE d.datname = current_database()),
        own AS (
            SELECT o.*, acldefault(o.kind, o.owner) AS usual, coalesce(
                (SELECT i.initprivs FROM pg_init_privs i WHERE i.classoid = o.catalogue AND i.objoid = o.oid AND i.objsubid = 0),
                acldefault(o.kind, o.owner)) AS initial
            FROM objects o
            WHERE o.schema !~ '^pg_' AND o.schema NOT IN ('information_schema', '${markerSchema}') AND NOT EXISTS (
                SELECT FROM pg_depend e WHERE e.classid = o.catalogue AND e.objid = o.oid AND e.deptype = 'e')),
        columns AS (
            SELECT o.name || ', column ' || quote_ident(a.attname) AS name, o.owner, a.attacl AS acl
            FROM own o JOIN pg_attribute a ON a.attrelid = o.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE o.catalogue = 'pg_class'::regclass AND a.attacl IS NOT NULL)
        SELECT name AS object, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END AS grantee,
            privilege_type AS privilege, lacking
        FROM (
            SELECT o.name, o.owner AS grantee, u.privilege_type, true AS lacking
            FROM own o CROSS JOIN LATERAL aclexplode(o.usual) u
            WHERE o.acl IS NOT NULL AND u.grantee = o.owner AND NOT EXISTS (
                SELECT FROM aclexplode(o.acl) h WHERE h.grantee = o.owner AND h.privilege_type = u.privilege_type)
            UNION ALL
            SELECT o.name, h.grantee, h.privilege_type, false
            FROM own o CROSS JOIN LATERAL aclexplode(o.acl) h
            WHERE h.grantee <> o.owner AND NOT EXISTS (
                SELECT FROM aclexplode(o.initial) i WHERE i.privilege_type = h.privilege_type
                AND (i.grantee = h.grantee OR i.grantee = i.grantor AND h.grantee = h.grantor))
            UNION ALL
            SELECT c.name, h.grantee, h.privilege_type, false
            FROM columns c CROSS JOIN LATERAL aclexplode(c.acl) h WHERE h.grantee <> c.owner) AS found
        ORDER BY lacking DESC, grantee, object, privilege`,
    );
}

/** `PUBLIC: CREATE on schema public`, one line a grantee and object; what owners lack first. */
export function describePrivileges(changed: readonly ChangedPrivilege[]): string[] {
    const lines = new Map<string, string[]>();
    for (const { object, grantee, privilege, lacking } of changed) {
        const key = `${object}\0${grantee}\0${lacking}`;
        lines.set(key, [...(lines.get(key) ?? []), privilege]);
    }
    return [...lines].map(([key, privileges]) => {
        const [object = "", grantee = "", lacking] = key.split("\0");
        const what = `${privileges.join(", ")} on ${object}`;
        return lacking === "true" ? `its owner ${grantee} lacks ${what}` : `${grantee} has ${what}`;
    });
}

/** `grafana: 176 tables and the like`, one line a grantee, owners left out. */
export function countedGrantees(changed: readonly ChangedPrivilege[]): string[] {
    const objects = new Map<string, Set<string>>();
    for (const { object, grantee, lacking } of changed)
        if (!lacking) objects.set(grantee, new Set([...(objects.get(grantee) ?? []), object]));
    return [...objects].map(([grantee, { size }]) => `${grantee} on ${size} ${size === 1 ? "object" : "objects"}`);
}
