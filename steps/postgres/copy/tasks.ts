/** What is done with the tables of a copy, by which connection, and what has to wait for what. */
import { DatabaseError } from "pg";
import { MigrationError } from "../../run/errors.ts";
import { quotedName, type Client } from "../connection.ts";
import { recordEntry, recordPart, type PlannedPart } from "./journal.ts";
import { pump, type PumpOptions } from "./pump.ts";
import type { PostDataEntry } from "./schemaArchive.ts";
import { isWhole, type CopiedTable } from "./tables.ts";
import type { BoardTask } from "./taskBoard.ts";

/** One of the pairs of connections. */
export interface Lane {
    /** In the snapshot. */
    readonly source: Client;
    readonly target: Client;
}

export interface LaneTask extends BoardTask {
    readonly kind: "rows" | "index" | "key" | "analyze";
    readonly run: (lane: Lane) => Promise<void>;
}

export interface Pumping extends PumpOptions {
    /** The rows of a part are committed. */
    readonly onRows: (table: CopiedTable, rows: number) => void;
}

export interface PlannedTasks {
    readonly tasks: readonly LaneTask[];
    /** Is run after them, one by one in this order. */
    readonly rest: readonly PostDataEntry[];
}

const uniqueViolation = "23505";
/** Building an index of a table costs about this much of copying it, analysing it about that much. */
const indexWeight = 0.5;
const analyzeWeight = 0.05;

/**
 * Indexes and keys of a table wait for its rows, foreign keys for the keys of both tables.
 *
 * @param entries  those that are still to be run, in the order of the archive
 * @param tablesOf  by `i` or `c` and the oid of the index or constraint
 */
export function planTasks(
    parts: readonly PlannedPart[],
    entries: readonly PostDataEntry[],
    tablesOf: ReadonlyMap<string, readonly string[]>,
    pumping: Pumping,
): PlannedTasks {
    const rows = new Map<string, LaneTask[]>();
    const bytes = new Map<string, number>();
    for (const part of parts) {
        const name = nameOf(part.table);
        bytes.set(name, part.table.bytes);
        if (part.rows === undefined) push(rows, name, rowsTask(part, pumping));
    }
    const built = new Map<string, LaneTask[]>();
    const keys: LaneTask[] = [];
    const rest: PostDataEntry[] = [];
    // A key of a partitioned table is there once those of its partitions are attached.
    const attached = entries.some(({ kind }) => kind === "INDEX ATTACH");
    for (const entry of entries) {
        const tables = tablesOf.get(`${entry.kind === "INDEX" ? "i" : "c"}${entry.oid}`);
        const weight = indexWeight * Math.max(0, ...(tables ?? []).map((name) => bytes.get(name) ?? 0));
        const needs = (from: ReadonlyMap<string, LaneTask[]>): LaneTask[] =>
            (tables ?? []).flatMap((name) => from.get(name) ?? []);
        const task = { weight, tables: tables ?? [], run: (lane: Lane) => runEntry(lane.target, entry) };
        if (tables !== undefined && entry.kind === "INDEX")
            push(built, tables[0], { ...task, kind: "index", alone: false, needs: needs(rows) });
        else if (tables !== undefined && entry.kind === "CONSTRAINT")
            push(built, tables[0], { ...task, kind: "index", alone: true, needs: needs(rows) });
        else if (tables !== undefined && entry.kind === "FK CONSTRAINT" && !attached)
            keys.push({ ...task, kind: "key", alone: true, needs: [...needs(rows), ...needs(built)] });
        else rest.push(entry);
    }
    const tables = new Map(parts.map(({ table }) => [nameOf(table), table]));
    const analyzed = [...tables].map(([name, table]): LaneTask => {
        const run = ({ target }: Lane): Promise<void> => analyze(target, table);
        const needs = [...(rows.get(name) ?? []), ...(built.get(name) ?? [])];
        return { kind: "analyze", weight: analyzeWeight * table.bytes, tables: [name], alone: true, needs, run };
    });
    return { tasks: [...[...rows.values()].flat(), ...[...built.values()].flat(), ...keys, ...analyzed], rest };
}

function rowsTask(part: PlannedPart, pumping: Pumping): LaneTask {
    return {
        kind: "rows",
        weight: part.bytes,
        tables: [nameOf(part.table)],
        alone: false,
        needs: [],
        run: async ({ source, target }) => {
            // Rows of a table that was emptied in the same transaction can be written as if they were old: no vacuum writes them again.
            const empty = isWhole(part) ? `; TRUNCATE ONLY ${quotedName(part.table.schema, part.table.name)}` : "";
            await target.query(`BEGIN${empty}`);
            const rows = await pump(source, target, part, pumping);
            await recordPart(target, part, rows);
            await target.query("COMMIT");
            pumping.onRows(part.table, rows);
        },
    };
}

/** @throws MigrationError SM-E0513 when a unique index finds duplicates, SM-E1104 */
export async function runEntry(target: Client, entry: PostDataEntry): Promise<void> {
    try {
        await target.query("BEGIN");
        await target.query(entry.text);
        await recordEntry(target, entry.text);
        await target.query("COMMIT");
    } catch (error) {
        if (!(error instanceof DatabaseError) || error.code === undefined) throw error;
        if (error.code.startsWith("57") || error.code === "42501") throw error;
        throw new MigrationError(error.code === uniqueViolation ? "SM-E0513" : "SM-E1104", {
            where: `${entry.kind.toLowerCase()} ${entry.name}`,
            found: `${error.message} (SQLSTATE ${error.code})`,
        });
    }
}

async function analyze(target: Client, { schema, name }: CopiedTable): Promise<void> {
    await target.query(`ANALYZE ${quotedName(schema, name)}`);
}

function nameOf({ schema, name }: Pick<CopiedTable, "schema" | "name">): string {
    return `${schema}.${name}`;
}

function push(map: Map<string, LaneTask[]>, name: string | undefined, task: LaneTask): void {
    if (name === undefined) return;
    const list = map.get(name);
    if (list === undefined) map.set(name, [task]);
    else list.push(task);
}
