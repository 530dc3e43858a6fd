/** Whether planned rows are empty where the homeserver's table has to have a value. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { queryOne, type Client } from "../postgres/connection.ts";
import { MigrationError } from "../run/errors.ts";
import type { PlannedTable } from "./plannedRows.ts";

/** SM-E0987 for each column. Columns that the backup lacks take their default. */
export async function emptyColumnProblems(client: Client, table: PlannedTable): Promise<MigrationError[]> {
    const required = table.columns.filter(({ name, notNull }) => notNull && table.common.includes(name));
    const problems: MigrationError[] = [];
    for (const { name } of required) {
        const { rows } = await queryOne(
            client,
            z.object({ rows: z.coerce.number() }),
            `SELECT count(*)::text AS rows FROM ${table.planned} WHERE ${escapeIdentifier(name)} IS NULL`,
        );
        if (rows > 0)
            problems.push(
                new MigrationError("SM-E0987", {
                    where: `table ${table.name}, column ${name}`,
                    found: `${rows} planned rows without a value`,
                    expected: "a value in each",
                }),
            );
    }
    return problems;
}
