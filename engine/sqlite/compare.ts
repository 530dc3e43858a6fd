/** Proves a port row by row: what the SQLite copy has, PostgreSQL has, but for what is left out on purpose. */
import type { Check } from "../../contract/index.ts";
import { withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { ignoredTables, ownTables, rowReasons, transformedColumns } from "./portRules.ts";
import {
    countRows,
    portedTables,
    postgresDigest,
    readSqliteTables,
    type Digest,
    type DigestedTable,
    type PortedTable,
    type SqliteTable,
} from "./ported.ts";
import type { PythonProgramOptions } from "./pythonProgram.ts";

export interface ComparePortedOptions extends PythonProgramOptions {
    /** Path of the copy that was ported. */
    readonly database: string;
    readonly target: DatabaseAddress;
}

interface ComparedTable {
    readonly name: string;
    readonly sqliteRows: number;
    /** Absent where PostgreSQL has no such table. */
    readonly postgresRows?: number;
    /** `equal`: same rows but for those dropped. `own`: each database has its own content. */
    readonly state: "equal" | "different" | "dropped" | "own";
    /** Columns that hold something else by design, and what. */
    readonly transformed: readonly string[];
}

interface DroppedRows {
    readonly table: string;
    readonly rows: number;
    readonly reason: string;
}

export interface PortComparison {
    readonly checks: Check[];
    readonly tables: readonly ComparedTable[];
    /** Rows that the source has and the target has not, on purpose: to be shown. */
    readonly dropped: readonly DroppedRows[];
}

/**
 * Compares every table of the copy with PostgreSQL's: the number of rows, and a digest of the values as both sides' text, streamed on both.
 * To be run after the repair and before Synapse starts. `synapse_port_db`'s exit code proves nothing, nor does its count of rows.
 *
 * Not compared: columns that the port transforms (named), tables that each side has its own content of, and tables of PostgreSQL alone.
 */
export async function comparePorted(options: ComparePortedOptions): Promise<PortComparison> {
    const { database, target, signal } = options;
    const session = { step: "compare", readOnly: true, statementSeconds: 0 };
    return withClient(target, signal === undefined ? session : { ...session, signal }, async (client) => {
        const present = new Map((await portedTables(client)).map((table) => [table.name, table]));
        const wanted = [...present.values()].filter(({ name }) => !ignoredTables.has(name) && !ownTables.has(name));
        const comparisons: Comparison[] = [];
        for (const sqlite of await readSqliteTables(database, wanted.map(withoutTransformed), options)) {
            const table = present.get(sqlite.name);
            comparisons.push(
                "digest" in sqlite && table !== undefined
                    ? compareRows(sqlite, await postgresDigest(client, withColumns(table, sqlite.columns)))
                    : leftOut(sqlite, table === undefined ? undefined : await countRows(client, sqlite.name)),
            );
        }
        const dropped = comparisons.flatMap((comparison) => comparison.dropped);
        return { checks: checksOf(comparisons), tables: comparisons.map(({ table }) => table), dropped };
    });
}

interface Comparison {
    readonly table: ComparedTable;
    readonly dropped: readonly DroppedRows[];
    /** Why the port is not what it should be. */
    readonly problem?: string;
}

function withoutTransformed({ name, columns }: PortedTable): PortedTable {
    return { name, columns: columns.filter((column) => !transformedColumns.has(`${name}.${column.name}`)) };
}

function withColumns({ name, columns }: PortedTable, names: readonly string[]): PortedTable {
    return { name, columns: columns.filter((column) => names.includes(column.name)) };
}

function compareRows(sqlite: DigestedTable, postgres: Digest): Comparison {
    const { name, total, rows, nul, orphans, lost } = sqlite;
    const equal = postgres.rows === rows && postgres.digest === sqlite.digest;
    const problem =
        lost.length > 0
            ? `${name}: PostgreSQL has no column ${lost.join(", ")}`
            : postgres.rows !== rows
              ? `${name}: ${rows} rows were to be ported, ${postgres.rows} are there`
              : equal
                ? undefined
                : `${name}: ${rows} rows on both sides, with other values`;
    const transformed = [...transformedColumns].flatMap(([column, how]) =>
        column.startsWith(`${name}.`) ? [`${column}: ${how}`] : [],
    );
    return {
        table: {
            name,
            sqliteRows: total,
            postgresRows: postgres.rows,
            state: problem === undefined ? "equal" : "different",
            transformed,
        },
        dropped: [
            { table: name, rows: nul, reason: rowReasons.nul },
            { table: name, rows: orphans, reason: rowReasons.orphan },
        ].filter((dropped) => dropped.rows > 0),
        ...(problem === undefined ? {} : { problem }),
    };
}

function leftOut({ name, total }: SqliteTable, postgresRows: number | undefined): Comparison {
    const table = { name, sqliteRows: total, ...(postgresRows === undefined ? {} : { postgresRows }), transformed: [] };
    if (ownTables.has(name)) return { table: { ...table, state: "own" }, dropped: [] };
    const reason = ignoredTables.get(name) ?? rowReasons.unknownTable;
    return { table: { ...table, state: "dropped" }, dropped: total > 0 ? [{ table: name, rows: total, reason }] : [] };
}

/** One check over all that is equal, one for each table that is not, and one for rows that nobody meant to leave behind. */
function checksOf(comparisons: readonly Comparison[]): Check[] {
    const equal = comparisons.filter(({ table }) => table.state === "equal");
    const different = comparisons.flatMap(({ table, problem }) => (problem === undefined ? [] : [{ table, problem }]));
    const rows = equal.reduce((sum, { table }) => sum + (table.postgresRows ?? 0), 0);
    const dropped = comparisons.flatMap((comparison) => comparison.dropped);
    const unexpected = dropped.filter(({ table }) => !ignoredTables.has(table));
    const told = unexpected.map(({ table, rows: lost, reason }) => `${table}: ${lost} (${reason})`);
    return [
        {
            id: "sqlite-rows",
            state: different.length === 0 ? "passed" : "failed",
            evidence: `${rows} rows of ${equal.length} tables are the same in SQLite and PostgreSQL, ${different.length} tables differ`,
        },
        ...different.map(({ table, problem }) => ({
            ...{ id: `sqlite-rows-${table.name}`, state: "failed" as const, evidence: problem },
        })),
        {
            id: "sqlite-dropped",
            state: unexpected.length === 0 ? "passed" : "warning",
            evidence: told.length === 0 ? "no row was left out but of tables that are made anew" : told.join("; "),
        },
    ];
}
