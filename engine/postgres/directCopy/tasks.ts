/** What is done with the tables of a copy, and what has to wait for what. */
import { DatabaseError } from "pg";
import { MigrationError } from "../../run/errors.ts";
import { quotedName, type Client } from "../connection.ts";
import { entryDone, partDone, type PlannedPart } from "./doneTasks.ts";
import type { Lane, LaneTask } from "./lanes.ts";
import { pump, type PumpOptions } from "./pump.ts";
import type { PostDataEntry } from "./schemaArchive.ts";
import { describePart, isFrozen, isSmall, type CopiedTable } from "./tableParts.ts";

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
 * Indexes and keys of a table wait for its rows, foreign keys for the keys of both tables. With a small table, they are one task.
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
    const tablesOfEntry = (entry: PostDataEntry): readonly string[] | undefined =>
        tablesOf.get(`${entry.kind === "INDEX" ? "i" : "c"}${entry.oid}`);
    const isOwn = ({ kind }: PostDataEntry): boolean => kind === "INDEX" || kind === "CONSTRAINT";
    const own = new Map<string, PostDataEntry[]>();
    for (const entry of entries.filter(isOwn)) push(own, tablesOfEntry(entry)?.[0], entry);

    const rows = new Map<string, LaneTask[]>();
    const built = new Map<string, LaneTask[]>();
    const analyzed: LaneTask[] = [];
    for (const [name, ofTable] of byTable(parts)) {
        const [first, ...others] = ofTable;
        if (first === undefined) continue;
        if (others.length === 0 && isSmall(first) && first.rows === undefined) {
            push(rows, name, smallTask(first, own.get(name) ?? [], pumping));
            own.delete(name);
            continue;
        }
        for (const part of ofTable) if (part.rows === undefined) push(rows, name, rowsTask(part, pumping));
        const { table } = first;
        for (const entry of own.get(name) ?? []) push(built, name, entryTask(entry, [table], rows.get(name) ?? []));
        own.delete(name);
        const needs = [...(rows.get(name) ?? []), ...(built.get(name) ?? [])];
        const run = async ({ target }: Lane): Promise<void> => {
            await target.query(analyze(table));
        };
        analyzed.push({ ...heavy("analyze", analyzeWeight * table.bytes), tables: [name], alone: true, needs, run });
    }
    // Of partitioned tables, which have no rows of their own.
    for (const [name, entriesOfTable] of own)
        for (const entry of entriesOfTable) push(built, name, { ...entryTask(entry, [], []), tables: [name] });

    const keys: LaneTask[] = [];
    const rest: PostDataEntry[] = [];
    // A key of a partitioned table is there once those of its partitions are attached.
    const attached = entries.some(({ kind }) => kind === "INDEX ATTACH");
    const tables = new Map(parts.map(({ table }) => [nameOf(table), table]));
    for (const entry of entries) {
        const names = tablesOfEntry(entry);
        if (names !== undefined && isOwn(entry)) continue;
        if (names !== undefined && entry.kind === "FK CONSTRAINT" && !attached) {
            const needs = names.flatMap((name) => [...(rows.get(name) ?? []), ...(built.get(name) ?? [])]);
            const involved = names.flatMap((name) => tables.get(name) ?? []);
            keys.push({ ...entryTask(entry, involved, needs), kind: "key" });
        } else rest.push(entry);
    }
    return { tasks: [...[...rows.values()].flat(), ...[...built.values()].flat(), ...keys, ...analyzed], rest };
}

function rowsTask(part: PlannedPart, pumping: Pumping): LaneTask {
    const { table } = part;
    const run = async ({ source, target }: Lane): Promise<void> => {
        const emptied = isFrozen(part) ? `; TRUNCATE ONLY ${quotedName(table.schema, table.name)}` : "";
        await target.query(`BEGIN${emptied}`);
        const rows = await pump(source, target, part, pumping);
        await target.query(`${partDone(part, rows)}; COMMIT`);
        pumping.onRows(table, rows);
    };
    return { ...heavy("rows", part.bytes), tables: [nameOf(table)], alone: false, needs: [], run };
}

/** Rows, indexes, keys and statistics in one transaction. */
function smallTask(part: PlannedPart, entries: readonly PostDataEntry[], pumping: Pumping): LaneTask {
    const { table } = part;
    const run = async ({ source, target }: Lane): Promise<void> => {
        await target.query("BEGIN");
        const rows = await pump(source, target, part, pumping);
        const statements = [
            partDone(part, rows),
            ...entries.flatMap(({ text }) => [withoutEnd(text), entryDone(text)]),
            ...[analyze(table), "COMMIT"],
        ];
        await explained(target.query(statements.join(";\n")), `indexes of ${describePart(part)}`);
        pumping.onRows(table, rows);
    };
    return { ...heavy("rows", part.bytes), tables: [nameOf(table)], alone: false, needs: [], run };
}

function entryTask(entry: PostDataEntry, tables: readonly CopiedTable[], needs: readonly LaneTask[]): LaneTask {
    const weight = indexWeight * Math.max(0, ...tables.map(({ bytes }) => bytes));
    const run = ({ target }: Lane): Promise<void> => runEntry(target, entry);
    // Adding a key locks the table against everything else: a task on the same table would only wait.
    const alone = entry.kind !== "INDEX";
    return { ...heavy("index", weight), tables: tables.map(nameOf), alone, needs, run };
}

/**
 * Runs the statements of an entry: all or none, and written down.
 *
 * @throws MigrationError SM-E0513 when a unique index finds duplicates, SM-E1104
 */
export async function runEntry(target: Client, entry: PostDataEntry): Promise<void> {
    // Statements that are sent together are one transaction (PostgreSQL manual 55.2.2.1).
    await runStatements(target, entry, `${withoutEnd(entry.text)};\n${entryDone(entry.text)}`);
}

/**
 * @param statements  the entry's own when absent
 * @throws MigrationError SM-E0513, SM-E1104 with what they are of
 */
export async function runStatements(target: Client, entry: PostDataEntry, statements = entry.text): Promise<void> {
    await explained(target.query(statements), `${entry.kind.toLowerCase()} ${entry.name}`);
}

async function explained(work: Promise<unknown>, where: string): Promise<void> {
    try {
        await work;
    } catch (error) {
        if (!(error instanceof DatabaseError) || error.code === undefined) throw error;
        // Connections and rights are told by who made the connection.
        if (error.code.startsWith("57") || error.code === "42501") throw error;
        throw new MigrationError(error.code === uniqueViolation ? "SM-E0513" : "SM-E1104", {
            where,
            found: `${error.message} (SQLSTATE ${error.code})`,
        });
    }
}

const analyze = ({ schema, name }: CopiedTable): string => `ANALYZE ${quotedName(schema, name)}`;
const withoutEnd = (text: string): string => text.replace(/;\s*$/, "");
const nameOf = ({ schema, name }: Pick<CopiedTable, "schema" | "name">): string => `${schema}.${name}`;
const heavy = (kind: LaneTask["kind"], weight: number): Pick<LaneTask, "kind" | "weight"> => ({ kind, weight });

function byTable(parts: readonly PlannedPart[]): Map<string, PlannedPart[]> {
    const tables = new Map<string, PlannedPart[]>();
    for (const part of parts) push(tables, nameOf(part.table), part);
    return tables;
}

function push<T>(map: Map<string, T[]>, name: string | undefined, item: T): void {
    if (name === undefined) return;
    const list = map.get(name);
    if (list === undefined) map.set(name, [item]);
    else list.push(item);
}
