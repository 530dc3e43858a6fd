/** Checks of the source's database: is it Synapse's, can the target's Synapse take it over, will every index be built again? */
import { z } from "zod";
import { query, quotedName } from "../postgres/connection.ts";
import { leftBehind } from "../postgres/catalogue/serverObjects.ts";
import { readDatabaseFacts, refuseOldServer, refuseWrongEncoding } from "../postgres/server/serverFacts.ts";
import { documentedFindings } from "./conclusion.ts";
import { foreignCode } from "../postgres/catalogue/foreignCode.ts";
import { sequenceFindings } from "../postgres/sequences/synapseSequences.ts";
import type { Finding } from "../../contract/index.ts";
import type { InstalledSynapse } from "../synapse/targetVersion.ts";
import { finding } from "../run/finding.ts";
import type { DatabaseCheck } from "./check.ts";
import { withTableScans } from "./tableScans.ts";

const rowsShown = 3;

export const databaseChecks: readonly DatabaseCheck[] = [
    {
        id: "database-server",
        cost: "cheap",
        async run({ client }) {
            const facts = await readDatabaseFacts(client);
            const { collate, ctype, otherProvider } = facts;
            const findings = [
                ...refusals(() => refuseOldServer(facts, "the source")),
                ...refusals(() => refuseWrongEncoding(facts, "the source's database")),
            ];
            if (collate !== "C" || ctype !== "C" || otherProvider !== null) {
                const provider = otherProvider === null ? "" : `, sorted by ${otherProvider}`;
                findings.push(finding("SM-W0501", `collation ${collate}, character type ${ctype}${provider}`));
            }
            return findings;
        },
    },
    {
        id: "synapse-schema",
        cost: "cheap",
        async run({ client, targetSynapse }) {
            const present = await query(
                client,
                z.object({ name: z.string() }),
                `SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' AND tablename IN ('events', 'users', 'schema_version', 'state_groups')`,
            );
            if (present.length < 4)
                return [
                    finding(
                        "SM-E0508",
                        `of the tables events, users, schema_version and state_groups ${present.length} exist`,
                    ),
                ];
            const [schema] = await query(
                client,
                z.object({ version: z.number(), upgraded: z.boolean() }),
                "SELECT version, upgraded FROM public.schema_version",
            );
            const [compat] = await query(
                client,
                z.object({ version: z.number() }),
                "SELECT compat_version AS version FROM public.schema_compat_version",
            );
            if (schema === undefined)
                return [finding("SM-E0506", "the table schema_version is empty, as after an incomplete restore")];
            return newerSchema(schema.version, compat?.version, targetSynapse);
        },
    },
    {
        id: "background-updates",
        cost: "cheap",
        async run({ client }) {
            const pending = await query(
                client,
                z.object({ name: z.string() }),
                "SELECT update_name AS name FROM public.background_updates ORDER BY ordering, update_name",
            );
            if (pending.length === 0) return [];
            const names = pending.slice(0, rowsShown).map(({ name }) => name);
            return [finding("SM-W0507", `${pending.length} pending, among them ${names.join(", ")}`)];
        },
    },
    {
        id: "foreign-code",
        cost: "cheap",
        async run({ client, foreignCode: known }) {
            const unmoved = await leftBehind(client);
            return (await foreignCode(client, [...known, ...unmoved])).map((name) => finding("SM-E0545", name));
        },
    },
    { id: "sequences", cost: "thorough", run: ({ client }) => sequenceFindings(client) },
    {
        id: "unique-indexes",
        cost: "thorough",
        async run({ client }) {
            const indexes = await query(
                client,
                z.object({
                    schema: z.string(),
                    table: z.string(),
                    index: z.string(),
                    columns: z.array(z.string()),
                    predicate: z.string().nullable(),
                }),
                `SELECT n.nspname AS schema, t.relname AS "table", c.relname AS "index", pg_get_expr(i.indpred, i.indrelid) AS predicate,
                        array(SELECT pg_get_indexdef(i.indexrelid, k, true) FROM generate_series(1, i.indnkeyatts) k) AS columns
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
                 JOIN pg_namespace n ON n.oid = t.relnamespace
                 WHERE i.indisunique AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'synapse_migration')
                 ORDER BY 1, 2, 3`,
            );
            return withTableScans(client, async () => {
                const findings = [];
                for (const { schema, table, index, columns, predicate } of indexes) {
                    const present = columns.map((column) => `${column} IS NOT NULL`).join(" AND ");
                    const [duplicate] = await query(
                        client,
                        z.object({ rows: z.coerce.number() }),
                        `SELECT count(*)::text AS rows FROM ${quotedName(schema, table)} WHERE ${present}${predicate === null ? "" : ` AND (${predicate})`}
                         GROUP BY ${columns.join(", ")} HAVING count(*) > 1 LIMIT 1`,
                    );
                    if (duplicate !== undefined)
                        findings.push(
                            finding(
                                "SM-E0513",
                                `${duplicate.rows} rows of ${schema}.${table} have the same key of ${index}`,
                            ),
                        );
                }
                return findings;
            });
        },
    },
];

function refusals(look: () => void): Finding[] {
    try {
        look();
        return [];
    } catch (error) {
        return documentedFindings(error);
    }
}

/**
 * SM-E0506 when the target's Synapse refuses the database, SM-W0506 when it has not been made for it.
 *
 * @param schema  of the table `schema_version`
 * @param compat  of the table `schema_compat_version`, which databases of old have not
 */
export function newerSchema(schema: number, compat: number | undefined, targetSynapse: InstalledSynapse): Finding[] {
    const needed = compat ?? schema;
    const target = `the target's Synapse ${targetSynapse.version} writes ${targetSynapse.schema}`;
    if (needed > targetSynapse.schema)
        return [finding("SM-E0506", `the database needs a Synapse of schema ${needed} or newer; ${target}`)];
    return schema > targetSynapse.schema ? [finding("SM-W0506", `the database has schema ${schema}; ${target}`)] : [];
}
