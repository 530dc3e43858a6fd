/** The catalogue queries behind `catalogue.ts`: each yields `kind`, `name` and `definition` of the objects that a dump carries. */
import { markerSchema } from "../databases/marker.ts";

/** Schemas that belong to the homeserver. Objects of extensions are left out, as the extension brings them. */
const schemas = `SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', '${markerSchema}')`;

const notOfExtension = (catalogue: string, oid: string): string =>
    `NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '${catalogue}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

/** Column options without `pg_attver=N`, which is local to a cluster and never dumped. */
const columnOptions = `(SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver=[0-9]+$')`;

/** A column's name as every version writes it: `quote_ident` quotes what is a keyword to the server that is asked, such as "json" to 16 and newer. */
const columnName = `CASE WHEN a.attname ~ '^[a-z_][a-z0-9_]*$' THEN a.attname ELSE quote_ident(a.attname) END`;

/** Run with an empty search_path, so that every name in a definition carries its schema. */
export const definitionQueries: readonly string[] = [
    `SELECT 'schema' AS kind, quote_ident(nspname) AS name, '' AS definition FROM (${schemas}) s`,

    `SELECT CASE c.relkind WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind, c.oid::regclass::text AS name,
        concat_ws(', ', CASE c.relpersistence WHEN 'u' THEN 'unlogged' ELSE 'logged' END,
            CASE WHEN c.relkind = 'p' THEN 'partitioned by ' || pg_get_partkeydef(c.oid) END,
            CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
            'replica identity ' || c.relreplident::text, 'row security ' || c.relrowsecurity,
            -- Said only where it is: manifests of earlier versions do not know of it.
            CASE WHEN c.relforcerowsecurity THEN 'forced row security' END,
            (SELECT string_agg(o, ', ' ORDER BY o) FROM unnest(c.reloptions) o),
            (SELECT 'inherits ' || string_agg(inhparent::regclass::text, ', ' ORDER BY inhseqno)
                FROM pg_inherits WHERE inhrelid = c.oid)) AS definition
    FROM pg_class c JOIN (${schemas}) s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f') AND ${notOfExtension("pg_class", "c.oid")}`,

    `SELECT 'column' AS kind, c.oid::regclass::text || '.' || ${columnName} AS name,
        concat_ws(', ', format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN 'not null' END,
            'default ' || CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
            'generated ' || CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
            CASE a.attidentity WHEN 'a' THEN 'identity always' WHEN 'd' THEN 'identity by default' END,
            'collation ' || CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END,
            'storage ' || CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage::text END,
            'options ' || ${columnOptions}) AS definition
    FROM pg_attribute a
    JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'f', 'c')
    JOIN (${schemas}) s ON s.oid = c.relnamespace
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attnum > 0 AND NOT a.attisdropped AND ${notOfExtension("pg_class", "c.oid")}`,

    // pg_dump leaves out indexes that are invalid or not ready; on the target such a one counts as missing.
    `SELECT 'index' AS kind, i.indexrelid::regclass::text AS name,
        concat_ws(', ', pg_get_indexdef(i.indexrelid), CASE WHEN i.indisclustered THEN 'clustered' END,
            CASE WHEN i.indisreplident THEN 'replica identity' END) AS definition
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN (${schemas}) s ON s.oid = c.relnamespace
    WHERE i.indisvalid AND i.indisready AND ${notOfExtension("pg_class", "i.indrelid")}`,

    // 'n' are the not-null constraints of PostgreSQL 18, which are part of the columns here.
    `SELECT 'constraint' AS kind,
        CASE WHEN o.conrelid <> 0 THEN o.conrelid::regclass::text ELSE o.contypid::regtype::text END || ': ' || quote_ident(o.conname) AS name,
        concat_ws(', ', pg_get_constraintdef(o.oid), CASE WHEN o.convalidated THEN 'validated' ELSE 'not validated' END) AS definition
    FROM pg_constraint o JOIN (${schemas}) s ON s.oid = o.connamespace
    WHERE o.contype NOT IN ('n', 't') AND ${notOfExtension("pg_class", "o.conrelid")}`,

    `SELECT 'trigger' AS kind, g.tgrelid::regclass::text || ': ' || quote_ident(g.tgname) AS name,
        pg_get_triggerdef(g.oid) || ', enabled ' || g.tgenabled::text AS definition
    FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN (${schemas}) s ON s.oid = c.relnamespace
    WHERE NOT g.tgisinternal AND ${notOfExtension("pg_class", "c.oid")}`,

    `SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind,
        p.oid::regprocedure::text AS name,
        CASE WHEN p.prokind IN ('f', 'p') THEN pg_get_functiondef(p.oid) ELSE pg_get_function_result(p.oid) END AS definition
    FROM pg_proc p JOIN (${schemas}) s ON s.oid = p.pronamespace WHERE ${notOfExtension("pg_proc", "p.oid")}`,

    `SELECT 'sequence' AS kind, q.seqrelid::regclass::text AS name,
        concat_ws(', ', format_type(q.seqtypid, NULL), 'start ' || q.seqstart, 'increment ' || q.seqincrement,
            'from ' || q.seqmin || ' to ' || q.seqmax, 'cache ' || q.seqcache, CASE WHEN q.seqcycle THEN 'cycle' END,
            (SELECT CASE d.deptype WHEN 'i' THEN 'identity of ' ELSE 'owned by ' END || d.refobjid::regclass::text || '.' || ${columnName}
                FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
                WHERE d.classid = 'pg_class'::regclass AND d.objid = q.seqrelid AND d.objsubid = 0
                    AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))) AS definition
    FROM pg_sequence q JOIN pg_class c ON c.oid = q.seqrelid JOIN (${schemas}) s ON s.oid = c.relnamespace
    WHERE ${notOfExtension("pg_class", "c.oid")}`,

    `SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' ELSE 'view' END AS kind, c.oid::regclass::text AS name,
        pg_get_viewdef(c.oid) AS definition
    FROM pg_class c JOIN (${schemas}) s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND ${notOfExtension("pg_class", "c.oid")}`,

    `SELECT CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'r' THEN 'range' ELSE 'type' END AS kind,
        format_type(t.oid, NULL) AS name,
        concat_ws(', ', (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid),
            CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod) END,
            CASE WHEN t.typnotnull THEN 'not null' END, 'default ' || t.typdefault) AS definition
    FROM pg_type t JOIN (${schemas}) s ON s.oid = t.typnamespace
    WHERE (t.typtype IN ('e', 'd', 'r') OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
        AND ${notOfExtension("pg_type", "t.oid")}`,

    `SELECT 'rule' AS kind, r.ev_class::regclass::text || ': ' || quote_ident(r.rulename) AS name, pg_get_ruledef(r.oid) AS definition
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN (${schemas}) s ON s.oid = c.relnamespace
    WHERE r.rulename <> '_RETURN' AND ${notOfExtension("pg_class", "c.oid")}`,

    `SELECT 'policy' AS kind, y.polrelid::regclass::text || ': ' || quote_ident(y.polname) AS name,
        concat_ws(', ', y.polcmd::text, y.polpermissive::text, pg_get_expr(y.polqual, y.polrelid), pg_get_expr(y.polwithcheck, y.polrelid)) AS definition
    FROM pg_policy y JOIN pg_class c ON c.oid = y.polrelid JOIN (${schemas}) s ON s.oid = c.relnamespace`,

    `SELECT 'statistics' AS kind, quote_ident(s.nspname) || '.' || quote_ident(x.stxname) AS name, pg_get_statisticsobjdef(x.oid) AS definition
    FROM pg_statistic_ext x JOIN (${schemas}) s ON s.oid = x.stxnamespace`,

    `SELECT 'comment' AS kind, o.type || ' ' || o.identity AS name, d.description AS definition
    FROM pg_description d CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) o
    WHERE d.objoid >= 16384 AND o.type NOT IN ('extension', 'event trigger') AND o.identity NOT LIKE '%${markerSchema}.%'
        AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = d.classoid AND e.objid = d.objoid AND e.deptype = 'e')`,

    `SELECT 'large objects' AS kind, 'number' AS name, count(*)::text AS definition FROM pg_largeobject_metadata`,
];

/** Who owns what; the schema `public` and extensions belong to the server's own roles everywhere. */
export const ownerQuery = `
    SELECT CASE c.relkind WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' WHEN 'v' THEN 'view' ELSE 'table' END AS kind,
        c.oid::regclass::text AS name, pg_get_userbyid(c.relowner) AS owner
    FROM pg_class c JOIN (${schemas}) s ON s.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'S', 'v', 'm') AND ${notOfExtension("pg_class", "c.oid")}
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, pg_get_userbyid(p.proowner)
    FROM pg_proc p JOIN (${schemas}) s ON s.oid = p.pronamespace WHERE ${notOfExtension("pg_proc", "p.oid")}
    UNION ALL
    SELECT 'type', format_type(t.oid, NULL), pg_get_userbyid(t.typowner)
    FROM pg_type t JOIN (${schemas}) s ON s.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd', 'r') AND ${notOfExtension("pg_type", "t.oid")}
    UNION ALL
    SELECT 'schema', quote_ident(nspname), pg_get_userbyid(nspowner)
    FROM pg_namespace JOIN (${schemas}) s USING (oid, nspname) WHERE nspname <> 'public'
    UNION ALL
    SELECT 'database', quote_ident(datname), pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()`;
