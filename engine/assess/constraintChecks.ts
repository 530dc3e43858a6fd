/**
 * Checks of the source's foreign keys and check constraints: will the rows fit them when they are restored?
 *
 * Rows that violate a constraint come from disabled triggers, `session_replication_role = replica`, damaged indexes, or a function in
 * a check that has changed. What pg_restore 15 makes of them:
 *
 *     validated check            COPY of the table fails
 *     validated foreign key      the data is restored, ADD CONSTRAINT fails
 *     either, NOT VALID          both come along as they are, nothing fails
 *
 * That a constraint is NOT VALID is not worth a warning by itself: Synapse makes `event_stream_ordering_fkey` so, on three tables, and
 * never validates it (synapse/storage/schema/main/delta/74/03_membership_tables_event_stream_ordering.sql.postgres).
 *
 * Not covered: constraints of domains, not-null constraints, foreign keys of periods (PostgreSQL 18).
 */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import type { Finding } from "../../contract/index.ts";
import { query, queryOne, quotedName, type Client } from "../postgres/connection.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck } from "./check.ts";
import { withTableScans } from "./tableScans.ts";

const rowsShown = 3;

const constraintShape = z.object({
    name: z.string(),
    kind: z.enum(["check", "foreign key"]),
    validated: z.boolean(),
    schema: z.string(),
    table: z.string(),
    partitioned: z.boolean(),
    /** Of a check. */
    expression: z.string().nullable(),
    /** Of a foreign key: its columns, and those they refer to, in the same order. */
    columns: z.array(z.string()),
    referredSchema: z.string().nullable(),
    referredTable: z.string().nullable(),
    referredPartitioned: z.boolean().nullable(),
    referredColumns: z.array(z.string()),
    matchFull: z.boolean(),
    /** Columns of the primary key where all of them are numbers. */
    key: z.array(z.string()),
});
type Constraint = z.infer<typeof constraintShape>;

export const constraintChecks: readonly AssessmentCheck[] = [
    {
        id: "rows-and-constraints",
        cost: "thorough",
        async run({ client }) {
            const constraints = await readConstraints(client);
            return withTableScans(client, async () => {
                const findings: Finding[] = [];
                for (const constraint of constraints) findings.push(...(await violations(client, constraint)));
                return findings;
            });
        },
    },
];

async function readConstraints(client: Client): Promise<Constraint[]> {
    const names = (columns: string, table: string): string =>
        `array(SELECT a.attname::text FROM unnest(${columns}) WITH ORDINALITY u(number, place)
               JOIN pg_attribute a ON a.attrelid = ${table} AND a.attnum = u.number ORDER BY u.place)`;
    return query(
        client,
        constraintShape,
        `SELECT o.conname AS name, CASE o.contype WHEN 'c' THEN 'check' ELSE 'foreign key' END AS kind, o.convalidated AS validated,
                n.nspname AS schema, t.relname AS "table", t.relkind = 'p' AS partitioned, pg_get_expr(o.conbin, o.conrelid) AS expression,
                ${names("o.conkey", "o.conrelid")} AS columns, fn.nspname AS "referredSchema", ft.relname AS "referredTable",
                ft.relkind = 'p' AS "referredPartitioned", ${names("o.confkey", "o.confrelid")} AS "referredColumns",
                o.confmatchtype = 'f' AS "matchFull", CASE WHEN k.numbers THEN k.columns ELSE '{}' END AS key
         FROM pg_constraint o JOIN pg_class t ON t.oid = o.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
         LEFT JOIN pg_class ft ON ft.oid = o.confrelid LEFT JOIN pg_namespace fn ON fn.oid = ft.relnamespace
         LEFT JOIN LATERAL (
             SELECT array_agg(a.attname::text ORDER BY a.attnum) AS columns,
                    bool_and(a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)) AS numbers
             FROM pg_constraint p JOIN pg_attribute a ON a.attrelid = p.conrelid AND a.attnum = ANY (p.conkey)
             WHERE p.conrelid = o.conrelid AND p.contype = 'p') k ON true
         WHERE o.contype IN ('c', 'f') AND o.conparentid = 0
             AND NOT to_jsonb(o) @> '{"conenforced": false}' AND NOT to_jsonb(o) @> '{"conperiod": true}'
             AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'synapse_migration')
         ORDER BY n.nspname, t.relname, o.conname`,
    );
}

/** The rows that a constraint forbids: nothing but how many, where, and how to list them. */
async function violations(client: Client, constraint: Constraint): Promise<Finding[]> {
    const { name, kind, validated, schema, table, referredSchema, referredTable, key } = constraint;
    const rows = violatingRows(constraint);
    // Other keys are not shown: those of login_tokens and open_id_tokens are secrets.
    const shown =
        key.length === 0
            ? "'ctid ' || ctid"
            : `concat_ws(' and ', ${key.map((column) => `'${column.replaceAll("'", "''")} ' || ${escapeIdentifier(column)}`).join(", ")})`;
    const { count, samples } = await queryOne(
        client,
        z.object({ count: z.coerce.number(), samples: z.array(z.string()).nullable() }),
        `SELECT count(*)::text AS count, array_agg(shown ORDER BY place) FILTER (WHERE place <= ${rowsShown}) AS samples
         FROM (SELECT ${shown} AS shown, row_number() OVER () AS place ${rows}) violating`,
    );
    if (count === 0) return [];
    const where = `${count} of ${schema}.${table} (${(samples ?? []).join(", ")})`;
    const list = `all of them: SELECT ctid, * ${rows}`;
    const nothing = `they come along as they are, nothing has to be done for the migration; ${list}`;
    if (kind === "check")
        return [
            finding(
                validated ? "SM-E0521" : "SM-W0521",
                `${where} violate ${name}`,
                validated ? `correct or delete these rows while Synapse is stopped; ${list}` : nothing,
            ),
        ];
    return [
        finding(
            validated ? "SM-E0520" : "SM-W0520",
            `${where} have no row of ${referredSchema ?? ""}.${referredTable ?? ""} that ${name} refers to`,
            validated ? `delete these rows, or add what they refer to, while Synapse is stopped; ${list}` : nothing,
        ),
    ];
}

/** `FROM ... WHERE ...`. Constraints hold for the rows of the table itself; each child of it has its own. */
function violatingRows(constraint: Constraint): string {
    const { schema, table, partitioned, expression, columns, referredSchema, referredTable, matchFull } = constraint;
    const from = `FROM ${partitioned ? "" : "ONLY "}${quotedName(schema, table)}`;
    // Names in the expression are those of the table, so it gets no other.
    if (constraint.kind === "check" && expression !== null)
        return `FROM ONLY ${quotedName(schema, table)} WHERE (${expression}) IS FALSE`;
    const pairs = columns.map((column, place) => {
        const referred = constraint.referredColumns[place] ?? "";
        return `referred.${escapeIdentifier(referred)} = referring.${escapeIdentifier(column)}`;
    });
    const present = columns.map((column) => `referring.${escapeIdentifier(column)} IS NOT NULL`);
    const only = constraint.referredPartitioned === true ? "" : "ONLY ";
    return `${from} referring WHERE (${present.join(matchFull ? " OR " : " AND ")}) AND NOT EXISTS (
        SELECT FROM ${only}${quotedName(referredSchema ?? "", referredTable ?? "")} referred WHERE ${pairs.join(" AND ")})`.replaceAll(
        /\s+/g,
        " ",
    );
}
