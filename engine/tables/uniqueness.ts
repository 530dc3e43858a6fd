/** Whether planned rows would have what a unique index allows one row alone. */
import { z } from "zod";
import { query, queryOne, type Client } from "../postgres/connection.ts";
import { MigrationError } from "../run/errors.ts";
import { notReplaced, type PlannedTable } from "./plannedRows.ts";
import { shownKey } from "./secretColumns.ts";
import type { UniqueIndex } from "./tableShape.ts";

const mostSamples = 10;

/** SM-E0982 for each index. The index of the key that rows are told apart by cannot collide. */
export async function uniquenessProblems(client: Client, table: PlannedTable): Promise<MigrationError[]> {
    if (table.inserts + table.replaces === 0) return [];
    const problems: MigrationError[] = [];
    for (const index of table.unique) {
        const isKey = index.predicate === null && index.columns !== null && sameNames(index.columns, table.key);
        if (!isKey) problems.push(...(await collisions(client, table, index)));
    }
    return problems;
}

async function collisions(client: Client, table: PlannedTable, index: UniqueIndex): Promise<MigrationError[]> {
    const parts = index.parts.map((part, number) => `(${part}) AS e${number}`).join(", ");
    const names = index.parts.map((_, number) => `e${number}`);
    const inIndex = index.predicate ?? "true";
    // Rows that are empty in a part are never equal to any other (PostgreSQL manual 11.6).
    const filled = names.map((name) => `n.${name} IS NOT NULL`).join(" AND ");
    const equal = names.map((name) => `n.${name} = o.${name}`).join(" AND ");
    const shown = shownKey("p", table.name, [...new Set([...table.key, ...(index.columns ?? [])])]);
    const colliding = `SELECT n.shown FROM (
            SELECT ${parts}, ${shown} AS shown, count(*) OVER (PARTITION BY ${index.parts.join(", ")}) AS alike
            FROM ${table.planned} p WHERE ${inIndex}) n
        WHERE ${filled} AND (n.alike > 1 OR EXISTS (SELECT FROM (
            SELECT ${parts} FROM ${table.live} l WHERE (${inIndex})${notReplaced(table, "l")}) o WHERE ${equal}))`;
    const { rows } = await queryOne(
        client,
        z.object({ rows: z.coerce.number() }),
        `SELECT count(*)::text AS rows FROM (${colliding}) c`,
    );
    if (rows === 0) return [];
    const samples = await query(
        client,
        z.object({ shown: z.string() }),
        `${colliding} ORDER BY n.shown LIMIT ${mostSamples}`,
    );
    return [
        new MigrationError("SM-E0982", {
            where: `table ${table.name}, unique index ${index.name} (${index.parts.join(", ")})`,
            found: [
                `${rows} planned rows collide with live ones or with one another:`,
                ...samples.map((sample) => `  ${sample.shown}`),
                ...(rows > samples.length ? ["  …"] : []),
            ].join("\n"),
        }),
    ];
}

function sameNames(a: readonly string[], b: readonly string[]): boolean {
    return a.length === b.length && a.every((name) => b.includes(name));
}
