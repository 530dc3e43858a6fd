/** What of a database runs by itself when its tables are used, and is not Synapse's: code of whoever made it. */
import { z } from "zod";
import { query, type Client } from "../connection.ts";
import { synapseFunctions, synapseRules, synapseTriggers } from "./synapseCode.ts";

/** The first number of objects that are not part of every new database. */
const firstOwn = 16384;

/** What an extension brings is named by the extension. */
const own = (catalogue: string, alias: string, oid = `${alias}.oid`): string =>
    `${oid} >= ${firstOwn} AND NOT EXISTS (SELECT FROM pg_depend e
        WHERE e.classid = '${catalogue}'::regclass AND e.objid = ${oid} AND e.deptype = 'e')`;

/** Volatile, as they never answer twice the same, and nothing else. All others that PostgreSQL calls so change something, or run SQL. */
const harmless = ["nextval", "currval", "lastval", "random", "gen_random_uuid", "uuidv4", "uuidv7"]
    .concat("clock_timestamp", "timeofday")
    .map((name) => `'${name}'`)
    .join(", ");

/**
 * Whether an expression calls a function that is not PostgreSQL's, or one of PostgreSQL's that may do more than compute (`query_to_xml`, which
 * runs SQL, `set_config`, `lo_import`). Read out of the stored tree: nothing is recorded of what depends on PostgreSQL's own functions.
 */
const calls = (tree: string): string => `EXISTS (
    SELECT FROM regexp_matches(${tree}::text, ':(?:funcid|opfuncid|hashfuncid|negfuncid|aggfnoid|winfnoid) (\\d+)', 'g') AS called (number)
    JOIN pg_proc p ON p.oid = called.number[1]::oid
    WHERE p.oid >= ${firstOwn} OR p.provolatile = 'v' AND p.proname NOT IN (${harmless}))`;

const relation = (oid: string): string => `${oid}::regclass::text`;

/**
 * Kind, name, and what it says where Synapse has such objects too. Names are those that `catalogue.ts` has where it has the object; they carry
 * their schemas in the sessions of `withClient`.
 */
const queries: readonly string[] = [
    `SELECT CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind, p.oid::regprocedure::text AS name,
        CASE WHEN l.lanname = 'plpgsql' AND p.prokind = 'f' AND NOT p.prosecdef AND p.proconfig IS NULL AND p.prorettype = 'trigger'::regtype
            THEN encode(sha256(convert_to(p.prosrc, 'UTF8')), 'hex') END AS says
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname NOT LIKE 'pg\\_temp\\_%' AND ${own("pg_proc", "p")}`,

    `SELECT CASE WHEN g.tgenabled IN ('A', 'R') THEN 'replica trigger' ELSE 'trigger' END AS kind, ${relation("g.tgrelid")} || ': ' || quote_ident(g.tgname) AS name,
        CASE WHEN g.tgenabled = 'O' THEN pg_get_triggerdef(g.oid) END AS says
    FROM pg_trigger g WHERE NOT g.tgisinternal AND ${own("pg_class", "g", "g.tgrelid")}`,

    `SELECT 'rule' AS kind, ${relation("r.ev_class")} || ': ' || quote_ident(r.rulename) AS name,
        CASE WHEN r.ev_enabled = 'O' THEN btrim(regexp_replace(pg_get_ruledef(r.oid), '\\s+', ' ', 'g')) END AS says
    FROM pg_rewrite r WHERE r.rulename <> '_RETURN' AND r.oid >= ${firstOwn} AND ${own("pg_class", "r", "r.ev_class")}`,

    `SELECT CASE c.relkind WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'view' END AS kind,
        ${relation("c.oid")} AS name, NULL AS says
    FROM pg_class c WHERE c.relkind IN ('v', 'm', 'f') AND ${own("pg_class", "c")}`,

    `SELECT 'row security' AS kind, ${relation("c.oid")} AS name, NULL AS says
    FROM pg_class c WHERE (c.relrowsecurity OR c.relforcerowsecurity) AND ${own("pg_class", "c")}`,
    `SELECT 'policy' AS kind, ${relation("y.polrelid")} || ': ' || quote_ident(y.polname) AS name, NULL AS says FROM pg_policy y`,

    `SELECT CASE o.contype WHEN 'c' THEN 'check' ELSE 'constraint' END AS kind, ${relation("o.conrelid")} || ': ' || quote_ident(o.conname) AS name, NULL AS says
    FROM pg_constraint o WHERE o.conrelid <> 0 AND o.conbin IS NOT NULL AND ${calls("o.conbin")} AND ${own("pg_class", "o", "o.conrelid")}`,
    `SELECT 'default' AS kind, ${relation("d.adrelid")} || '.' || quote_ident(a.attname) AS name, NULL AS says
    FROM pg_attrdef d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE ${calls("d.adbin")} AND ${own("pg_class", "d", "d.adrelid")}`,
    `SELECT 'index' AS kind, ${relation("i.indexrelid")} AS name, NULL AS says FROM pg_index i
    WHERE (${calls("i.indexprs")} OR ${calls("i.indpred")}) AND ${own("pg_class", "i", "i.indexrelid")}`,
    `SELECT 'partitions' AS kind, ${relation("t.partrelid")} AS name, NULL AS says FROM pg_partitioned_table t WHERE ${calls("t.partexprs")}`,
    `SELECT 'statistics' AS kind, x.stxnamespace::regnamespace::text || '.' || quote_ident(x.stxname) AS name, NULL AS says
    FROM pg_statistic_ext x WHERE ${calls("x.stxexprs")}`,
    `SELECT 'domain' AS kind, format_type(t.oid, NULL) AS name, NULL AS says FROM pg_type t
    WHERE t.typtype = 'd' AND (EXISTS (SELECT FROM pg_constraint o WHERE o.contypid = t.oid AND o.contype = 'c') OR t.typdefaultbin IS NOT NULL)
        AND ${own("pg_type", "t")}`,

    `SELECT 'cast' AS kind, format_type(k.castsource, NULL) || ' AS ' || format_type(k.casttarget, NULL) AS name, NULL AS says
    FROM pg_cast k WHERE ${own("pg_cast", "k")}`,
    `SELECT 'operator' AS kind, o.oid::regoperator::text AS name, NULL AS says FROM pg_operator o WHERE ${own("pg_operator", "o")}`,
    `SELECT 'operator class' AS kind, o.opcnamespace::regnamespace::text || '.' || quote_ident(o.opcname) AS name, NULL AS says
    FROM pg_opclass o WHERE ${own("pg_opclass", "o")}`,
    `SELECT 'conversion' AS kind, o.connamespace::regnamespace::text || '.' || quote_ident(o.conname) AS name, NULL AS says
    FROM pg_conversion o WHERE ${own("pg_conversion", "o")}`,
    `SELECT 'language' AS kind, quote_ident(l.lanname) AS name, NULL AS says FROM pg_language l WHERE ${own("pg_language", "l")}`,
    `SELECT 'foreign data wrapper' AS kind, quote_ident(w.fdwname) AS name, NULL AS says
    FROM pg_foreign_data_wrapper w WHERE ${own("pg_foreign_data_wrapper", "w")}`,
    `SELECT 'foreign server' AS kind, quote_ident(s.srvname) AS name, NULL AS says FROM pg_foreign_server s WHERE ${own("pg_foreign_server", "s")}`,
    `SELECT 'event trigger' AS kind, quote_ident(v.evtname) AS name, NULL AS says FROM pg_event_trigger v WHERE ${own("pg_event_trigger", "v")}`,
    `SELECT 'extension' AS kind, quote_ident(x.extname) AS name, NULL AS says FROM pg_extension x WHERE x.extname <> 'plpgsql'`,
];

/** What a server runs while it only takes over the rows of another one: no trigger that is not made for that. */
const runsOnReplica = /^(replica trigger|check|constraint|index|default|domain|operator) /;

/** Of names of {@link foreignCode} those of what runs where rows are replicated to. */
export function runByReplication(names: readonly string[]): string[] {
    return names.filter((name) => runsOnReplica.test(name));
}

const foundShape = z.object({ kind: z.string(), name: z.string(), says: z.string().nullable() });

/**
 * The names of all code that the database holds and Synapse has not, `function public.f(integer)`, `check public.t: t_n_check`; without what
 * is accepted. In all schemas, our own as well, as the database's owner may make things there.
 *
 * Not covered: expressions that only compute with PostgreSQL's own functions, and what has no code, as tables, enumerations, collations.
 *
 * @param client  a new session: what has run in an older one may have made temporary tables that look like the catalogues
 * @param accepted  names as they are returned
 */
export async function foreignCode(client: Client, accepted: readonly string[] = []): Promise<string[]> {
    const names: string[] = [];
    for (const sql of queries)
        for (const found of await query(client, foundShape, sql)) {
            const name = `${found.kind} ${found.name}`;
            if (!isSynapses(found) && !accepted.includes(name)) names.push(name);
        }
    return names.sort();
}

function isSynapses({ kind, name, says }: z.infer<typeof foundShape>): boolean {
    if (says === null) return false;
    if (kind === "function") return synapseFunctions[name]?.includes(says) ?? false;
    if (kind === "trigger") return synapseTriggers.has(says);
    return kind === "rule" && synapseRules.has(says);
}
