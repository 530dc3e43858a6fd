/**
 * Checks whether the source has the primary keys and unique indexes that Synapse's schema of its version has.
 *
 * Who restores a dump badly loses them: pg_restore goes on after `could not create unique index`, and so does psql. Synapse then fails where
 * it inserts with ON CONFLICT, or makes rows twice, and the target would have no more than the source has.
 *
 * Not covered: keys that Synapse's background updates make, and those of other programs' tables.
 */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import type { Finding } from "../../contract/index.ts";
import { query, queryOne, quotedName, type Client } from "../postgres/connection.ts";
import { finding } from "../run/finding.ts";
import { schemaKeys, type SchemaKey } from "../synapse/schemaKeys.ts";
import type { AssessmentCheck } from "./check.ts";
import { withTableScans } from "./tableScans.ts";

const schemaName = "public";
/** What PostgreSQL cuts longer names to. */
const longestName = 63;

export const keyChecks: readonly AssessmentCheck[] = [
    {
        id: "schema-keys",
        // Importing all of Synapse takes seconds.
        cost: "thorough",
        run: ({ client, spec }) => missingKeys(client, spec.targetPython),
    },
];

const unique = z.object({ table: z.string(), name: z.string(), columns: z.array(z.string()), whole: z.boolean() });
type Unique = z.infer<typeof unique>;

/** @returns a warning for each; `not-run` for a schema that the target's Synapse cannot build, or a database without one */
export async function missingKeys(client: Client, python: string): Promise<Finding[] | "not-run"> {
    const { present } = await queryOne(
        client,
        z.object({ present: z.boolean() }),
        "SELECT to_regclass('public.schema_version') IS NOT NULL AS present",
    );
    if (!present) return "not-run";
    const [schema] = await query(
        client,
        z.object({ version: z.number() }),
        "SELECT version FROM public.schema_version",
    );
    const expected = schema === undefined ? undefined : await schemaKeys(python, schema.version);
    if (schema === undefined || expected === undefined) return "not-run";
    const columns = await columnsOf(client);
    const there = await uniqueIndexes(client);
    const missing = expected
        .map((key) => ({ ...key, columns: key.columns.map((column) => column?.toLowerCase() ?? null) }))
        // A table, or a column, that is not there is another matter than its key.
        .filter(({ table, columns: key }) => key.every((name) => name === null || columns.has(`${table}.${name}`)))
        .filter((key) => columns.has(key.table) && !there.some((index) => stands(index, key)));
    return withTableScans(client, async () => {
        const findings: Finding[] = [];
        for (const key of missing) findings.push(await findingOf(client, key, schema.version));
        return findings;
    });
}

/** Whether the index is over the same columns: ON CONFLICT takes no other one, not even one that keeps more apart. */
function stands(index: Unique, key: SchemaKey): boolean {
    if (index.table !== key.table) return false;
    if (index.name === key.name) return true;
    const [own, wanted] = [new Set(index.columns), new Set(key.columns)];
    const isSame = own.size === wanted.size && index.columns.every((column) => wanted.has(column));
    // One over a part of the table stands for another one over a part of it: their conditions are written in two ways.
    return isSame && (index.whole || / WHERE /i.test(key.sql ?? ""));
}

async function findingOf(client: Client, key: SchemaKey, version: number): Promise<Finding> {
    const { table, columns } = key;
    const names = columns.map((column) => column ?? "(an expression)").join(", ");
    const what = `${key.primary ? "primary key" : "unique index"} of ${schemaName}.${table} (${names})`;
    const twice = await duplicates(client, key);
    const first = twice === 0 ? "" : `first mend ${twice} keys that are there more than once; then `;
    return finding("SM-W0862", `${what}, which Synapse's schema ${version} has`, `${first}${statement(key)}`);
}

/** Of one over an expression or a part of the table, PostgreSQL says itself what stands in its way. */
async function duplicates(client: Client, { table, columns, sql }: SchemaKey): Promise<number> {
    const names = columns.filter((column) => column !== null).map((column) => escapeIdentifier(column));
    if (names.length < columns.length || / WHERE /i.test(sql ?? "")) return 0;
    const { count } = await queryOne(
        client,
        z.object({ count: z.coerce.number() }),
        `SELECT count(*)::text AS count FROM (SELECT FROM ${quotedName(schemaName, table)}
            WHERE ${names.map((name) => `${name} IS NOT NULL`).join(" AND ")} GROUP BY ${names.join(", ")} HAVING count(*) > 1) twice`,
    );
    return count;
}

/** What mends the source; for its administrator to run. */
function statement({ table, columns, primary, name, sql }: SchemaKey): string {
    const place = quotedName(schemaName, table);
    const names = columns.filter((column) => column !== null).map((column) => escapeIdentifier(column));
    if (primary) return `ALTER TABLE ${place} ADD PRIMARY KEY (${names.join(", ")})`;
    if (sql !== null) return sql.replace(/ ON (\w+)/i, ` ON ${place}`).replaceAll(/\s+/g, " ");
    const own = name ?? `${[table, ...columns].join("_")}_key`.slice(0, longestName);
    return `CREATE UNIQUE INDEX ${escapeIdentifier(own)} ON ${place} (${names.join(", ")})`;
}

/** Names of tables, and of `table.column`. */
async function columnsOf(client: Client): Promise<ReadonlySet<string>> {
    const rows = await query(
        client,
        z.object({ table: z.string(), column: z.string() }),
        `SELECT c.relname::text AS "table", a.attname::text AS "column" FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace`,
    );
    return new Set(rows.flatMap(({ table, column }) => [table, `${table}.${column}`]));
}

/** Those that are marked invalid, too: another check says what they are. */
function uniqueIndexes(client: Client): Promise<Unique[]> {
    return query(
        client,
        unique,
        `SELECT t.relname::text AS "table", c.relname::text AS name, i.indpred IS NULL AS whole,
            array(SELECT coalesce(a.attname::text, '') FROM generate_series(0, i.indnkeyatts - 1) k
                LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k] AND a.attnum > 0 ORDER BY k) AS columns
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
        WHERE i.indisunique AND t.relnamespace = 'public'::regnamespace`,
    );
}
