/** What of a database its server's administrators have put there, and nothing of the homeserver needs: it is not moved. */
import { z } from "zod";
import { query, type Client } from "../connection.ts";

/** An extension of a database. */
interface FoundExtension {
    readonly name: string;
    /** Something that is no extension's own depends on it, or names what it brings; or it keeps rows of its own. */
    readonly used: boolean;
    /** Names of other extensions. */
    readonly requires: readonly string[];
}

/** Is there in every new database, and stays in it. */
const everywhere = "plpgsql";
const firstOwn = 16384;

/**
 * What an extension brings is recorded as its own, but not what that has within it (a type's array, a view's rule, the members of an operator
 * family). Bodies of functions are text to PostgreSQL: what they call is looked for by its name.
 */
const extensionQuery = `
    WITH RECURSIVE own (extension, classid, objid) AS (
        SELECT refobjid, classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
        UNION
        SELECT o.extension, d.classid, d.objid FROM own o JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid
            AND (d.deptype = 'i' OR d.deptype = 'a' AND d.classid IN ('pg_amop'::regclass, 'pg_amproc'::regclass)))
    SELECT x.extname AS name,
        array(SELECT r.extname::text FROM pg_depend d JOIN pg_extension r ON r.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
            WHERE d.classid = 'pg_extension'::regclass AND d.objid = x.oid) AS requires,
        x.extname = '${everywhere}' OR x.extconfig IS NOT NULL
        OR EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = x.oid
            AND d.deptype <> 'e' AND d.classid <> 'pg_extension'::regclass)
        OR EXISTS (SELECT FROM own o JOIN pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid
            WHERE o.extension = x.oid AND NOT EXISTS (SELECT FROM own w WHERE w.classid = d.classid AND w.objid = d.objid))
        OR EXISTS (SELECT FROM own o LEFT JOIN pg_proc f ON o.classid = 'pg_proc'::regclass AND f.oid = o.objid
            LEFT JOIN pg_class r ON o.classid = 'pg_class'::regclass AND r.oid = o.objid
            JOIN pg_proc p ON p.oid >= ${firstOwn} AND position(coalesce(f.proname, r.relname)::text IN p.prosrc) > 0
            WHERE o.extension = x.oid AND NOT EXISTS (SELECT FROM own w WHERE w.classid = 'pg_proc'::regclass AND w.objid = p.oid)) AS used
    FROM pg_extension x ORDER BY x.extname COLLATE "C"`;

const extensionShape = z.object({ name: z.string(), used: z.boolean(), requires: z.array(z.string()) });

/** Names of the extensions that something in the database needs, those included that such an extension needs. */
export async function neededExtensions(client: Client): Promise<string[]> {
    const found = await query(client, extensionShape, extensionQuery);
    return found.map(({ name }) => name).filter((name) => needed(found).has(name));
}

/**
 * `extension pg_stat_statements`, `event trigger audit`: what a copy leaves behind, as `foreignCode` names it. Event triggers are run by a
 * server for whoever changes definitions there: they belong to its superusers, and never see a row.
 */
export async function leftBehind(client: Client): Promise<string[]> {
    const found = await query(client, extensionShape, extensionQuery);
    const needs = needed(found);
    const idle = found.filter(({ name }) => !needs.has(name)).map(({ name }) => ["extension", name] as const);
    const triggers = await query(
        client,
        z.object({ name: z.string() }),
        "SELECT evtname AS name FROM pg_event_trigger",
    );
    const all = [...idle, ...triggers.map(({ name }) => ["event trigger", name] as const)];
    const named = await query(
        client,
        z.object({ name: z.string() }),
        "SELECT t.kind || ' ' || quote_ident(t.name) AS name FROM json_to_recordset($1) AS t (kind text, name text)",
        [JSON.stringify(all.map(([kind, name]) => ({ kind, name })))],
    );
    return named.map(({ name }) => name).sort();
}

function needed(found: readonly FoundExtension[]): ReadonlySet<string> {
    const names = new Set(found.filter(({ used }) => used).map(({ name }) => name));
    // A set goes on to what is added to it meanwhile.
    for (const name of names)
        for (const required of found.find((extension) => extension.name === name)?.requires ?? []) names.add(required);
    return names;
}
