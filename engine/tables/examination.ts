/** Looks at both sides of some tables at one moment: what differs, what a merge would write, and what speaks against it. */
import type { Client } from "../postgres/connection.ts";
import type { MigrationError } from "../run/errors.ts";
import { differenceOf, type TableDifference } from "./difference.ts";
import { numberingProblems } from "./numbering.ts";
import { pairTable } from "./pairedTable.ts";
import { planRows, type PlannedTable } from "./plannedRows.ts";
import { referenceProblems } from "./references.ts";
import { emptyColumnProblems } from "./emptyColumns.ts";
import { uniquenessProblems } from "./uniqueness.ts";

export interface ExaminedTable {
    readonly difference: TableDifference;
    readonly planned: PlannedTable;
}

export interface Examination {
    readonly tables: readonly ExaminedTable[];
    /** Each of them forbids the merge. */
    readonly problems: readonly MigrationError[];
}

/**
 * @param client  in a transaction that sees one state of the database; its temporary tables end with it
 * @throws MigrationError as {@link pairTable}
 */
export async function examine(
    client: Client,
    sideSchema: string,
    names: readonly string[],
    replace: boolean,
): Promise<Examination> {
    const tables: ExaminedTable[] = [];
    for (const name of names) {
        const paired = await pairTable(client, sideSchema, name);
        tables.push({
            difference: await differenceOf(client, paired),
            planned: await planRows(client, paired, replace),
        });
    }
    const planned = tables.map((table) => table.planned);
    const problems = await referenceProblems(client, planned);
    for (const table of planned) {
        problems.push(...(await emptyColumnProblems(client, table)));
        problems.push(...(await uniquenessProblems(client, table)));
        problems.push(...(await numberingProblems(client, table)));
    }
    return { tables, problems };
}
