/**
 * Checks of the source's indexes: which of them does a dump leave out?
 *
 * pg_dump 15 carries an index only when it is both valid and ready (getIndexes in pg_dump.c), and says nothing of the others:
 *
 *     invalid index                        the target lacks it, nothing fails
 *     ... of a primary key or unique       the target lacks the constraint, too, and the verification fails
 *     ... that a foreign key refers to     pg_restore fails: there is no unique constraint matching given keys
 *
 * Not covered: indexes of partitioned tables, which are dumped though they are invalid until each partition has its own.
 */
import { z } from "zod";
import { query, quotedName } from "../postgres/connection.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck } from "./check.ts";

const indexShape = z.object({
    schema: z.string(),
    table: z.string(),
    index: z.string(),
    constraints: z.array(z.string()),
    /** Ready is what it has to be before it is valid. */
    inconsistent: z.boolean(),
});

export const indexChecks: readonly AssessmentCheck[] = [
    {
        id: "invalid-indexes",
        cost: "cheap",
        async run({ client }) {
            const invalid = await query(
                client,
                indexShape,
                `SELECT n.nspname AS schema, t.relname AS "table", c.relname AS "index", i.indisvalid AND NOT i.indisready AS inconsistent,
                        array(SELECT o.conname::text FROM pg_constraint o WHERE o.conindid = i.indexrelid ORDER BY 1) AS constraints
                 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
                 JOIN pg_namespace n ON n.oid = t.relnamespace
                 WHERE NOT (i.indisvalid AND i.indisready) AND c.relkind = 'i'
                     AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', 'synapse_migration')
                 ORDER BY 1, 2, 3`,
            );
            return invalid.map(({ schema, table, index, constraints, inconsistent }) => {
                const name = quotedName(schema, index);
                const what = `${index} of ${schema}.${table}`;
                if (constraints.length > 0)
                    return finding("SM-E0517", `${what}, for ${constraints.join(", ")}`, `REINDEX INDEX ${name}`);
                // The manifest of the dump counts on every index that is marked valid.
                if (inconsistent)
                    return finding("SM-E0517", `${what}, marked valid and not ready`, `REINDEX INDEX ${name}`);
                return finding("SM-W0517", what, repair(index, name));
            });
        },
    },
];

/** REINDEX CONCURRENTLY leaves such names behind when it fails (PostgreSQL manual, REINDEX); the index itself is beside them. */
function repair(index: string, name: string): string {
    return /_cc(new|old)\d*$/.test(index)
        ? `left behind by a failed REINDEX: DROP INDEX ${name}`
        : `REINDEX INDEX CONCURRENTLY ${name}; or wait, where a background update of Synapse is building it`;
}
