/** Whether every reference holds with the planned rows in place: foreign keys both ways, and what Synapse takes for granted. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { query, queryOne, quotedName, type Client } from "../postgres/connection.ts";
import { MigrationError } from "../run/errors.ts";
import { liveSchema } from "./pairedTable.ts";
import { kindColumn, notReplaced, sameKey, type PlannedTable } from "./plannedRows.ts";
import { shownKey } from "./secretColumns.ts";
import { readColumns, readForeignKeys, type ForeignKey } from "./tableShape.ts";
import { unwrittenReferences } from "./unwrittenReferences.ts";

interface Reference extends ForeignKey {
    /** SQL over `p`. */
    readonly condition?: string | undefined;
    readonly written: boolean;
}

const mostSamples = 10;
const sampleShape = z.object({ shown: z.string() });

/** SM-E0981 for each constraint, SM-E0983 for what has none. */
export async function referenceProblems(client: Client, tables: readonly PlannedTable[]): Promise<MigrationError[]> {
    const written = await readForeignKeys(
        client,
        liveSchema,
        tables.map(({ name }) => name),
    );
    const references: Reference[] = [
        ...written.map((key) => ({ ...key, written: true })),
        ...(await unwritten(client, tables)),
    ];
    const problems: MigrationError[] = [];
    for (const reference of references) {
        const planned = tables.find(({ name }) => name === reference.table && reference.schema === liveSchema);
        const referred = tables.find(
            ({ name }) => name === reference.referred && reference.referredSchema === liveSchema,
        );
        if (planned !== undefined) problems.push(...(await dangling(client, reference, planned, referred)));
        if (referred !== undefined) problems.push(...(await orphaned(client, reference, planned, referred)));
    }
    return problems;
}

/** Planned rows that refer to nothing. */
async function dangling(
    client: Client,
    reference: Reference,
    planned: PlannedTable,
    referred: PlannedTable | undefined,
): Promise<MigrationError[]> {
    if (planned.inserts + planned.replaces === 0) return [];
    const from = `${planned.planned} p WHERE ${present(reference.columns, "p")}
        ${reference.condition === undefined ? "" : `AND (${reference.condition})`} ${unmet(reference, "p", referred)}`;
    return problem(client, reference, { from, alias: "p", key: planned.key, live: false });
}

/** Live rows that refer to a row which would not be the same any more. */
async function orphaned(
    client: Client,
    reference: Reference,
    planned: PlannedTable | undefined,
    referred: PlannedTable,
): Promise<MigrationError[]> {
    const keeps = reference.referredColumns.every((name) => referred.key.includes(name));
    if (referred.replaces === 0 || keeps || !reference.written) return [];
    const pairs = equal(reference.referredColumns, "was", reference.columns, "u");
    const from = `${quotedName(reference.schema, reference.table)} u WHERE ${present(reference.columns, "u")}
        ${notReplaced(planned, "u")}
        AND EXISTS (SELECT FROM ${referred.live} was JOIN ${referred.planned} becomes ON becomes.${kindColumn} = 'replace'
            AND ${sameKey(referred, "becomes", "was")} WHERE ${pairs}) ${unmet(reference, "u", referred)}`;
    return problem(client, reference, { from, alias: "u", key: planned?.key ?? [], live: true });
}

interface Offenders {
    readonly from: string;
    readonly alias: string;
    readonly key: readonly string[];
    readonly live: boolean;
}

async function problem(
    client: Client,
    reference: Reference,
    { from, alias, key, live }: Offenders,
): Promise<MigrationError[]> {
    const { rows } = await queryOne(
        client,
        z.object({ rows: z.coerce.number() }),
        `SELECT count(*)::text AS rows FROM ${from}`,
    );
    if (rows === 0) return [];
    const { table, columns, referred, referredColumns, constraint } = reference;
    const shown = shownKey(alias, table, [...new Set([...key, ...columns])]);
    const samples = await query(
        client,
        sampleShape,
        `SELECT ${shown} AS shown FROM ${from} ORDER BY shown LIMIT ${mostSamples}`,
    );
    const written = `constraint ${constraint}: ${table} (${columns.join(", ")}) refers to ${referred} (${referredColumns.join(", ")})`;
    return [
        new MigrationError(reference.written ? "SM-E0981" : "SM-E0983", {
            where: reference.written ? written : `table ${table}`,
            found: [
                `${rows} ${live ? "live" : "planned"} rows would have none in ${referred}:`,
                ...samples.map((sample) => `  ${sample.shown}`),
                ...(rows > samples.length ? ["  …"] : []),
            ].join("\n"),
            expected: `a row of ${referred} with the same ${referredColumns.join(", ")}, live or planned`,
            ...(live ? {} : { fix: `add ${referred} to \`--tables\`, or leave ${table} out` }),
        }),
    ];
}

/** SQL: neither a live row that stays nor a planned one is what `alias` refers to. */
function unmet(reference: Reference, alias: string, referred: PlannedTable | undefined): string {
    const match = equal(reference.referredColumns, "r", reference.columns, alias);
    const live = `AND NOT EXISTS (SELECT FROM ${quotedName(reference.referredSchema, reference.referred)} r
        WHERE ${match}${notReplaced(referred, "r")})`;
    return referred === undefined ? live : `${live} AND NOT EXISTS (SELECT FROM ${referred.planned} r WHERE ${match})`;
}

function equal(left: readonly string[], a: string, right: readonly string[], b: string): string {
    return left
        .map((name, index) => `${a}.${escapeIdentifier(name)} = ${b}.${escapeIdentifier(right[index] ?? "")}`)
        .join(" AND ");
}

const present = (columns: readonly string[], alias: string): string =>
    columns.map((name) => `${alias}.${escapeIdentifier(name)} IS NOT NULL`).join(" AND ");

async function unwritten(client: Client, tables: readonly PlannedTable[]): Promise<Reference[]> {
    const found: Reference[] = [];
    for (const reference of unwrittenReferences) {
        if (!tables.some(({ name }) => name === reference.table)) continue;
        const has = async (table: string, wanted: readonly string[]): Promise<boolean> => {
            const names = (await readColumns(client, liveSchema, table)).map(({ name }) => name);
            return wanted.every((name) => names.includes(name));
        };
        if (!(await has(reference.table, reference.columns))) continue;
        if (!(await has(reference.referred, reference.referredColumns))) continue;
        found.push({
            ...{ ...reference, columns: [...reference.columns], referredColumns: [...reference.referredColumns] },
            ...{ constraint: "", schema: liveSchema, referredSchema: liveSchema, written: false },
        });
    }
    return found;
}
