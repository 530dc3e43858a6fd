/** Whether planned rows have numbers that the homeserver has not handed out yet. */
import { escapeIdentifier, escapeLiteral } from "pg";
import { z } from "zod";
import { query, queryOne, quotedName, type Client } from "../postgres/connection.ts";
import { synapseSequences, type SynapseSequence } from "../postgres/sequences/sequenceStreams.ts";
import { readSequences } from "../postgres/sequences/sequences.ts";
import { MigrationError } from "../run/errors.ts";
import { liveSchema } from "./pairedTable.ts";
import type { PlannedTable } from "./plannedRows.ts";
import { readColumns } from "./tableShape.ts";

interface Numbered {
    readonly column: string;
    readonly sequence: string;
    readonly known: Pick<SynapseSequence, "direction" | "stream">;
}

/**
 * SM-E0984 for each column. Sequences are what `sequenceFaults` knows of: those behind Synapse's streams and ids, and those that a column
 * owns. Numbers in texts, as in the names of guests, are not looked at: Synapse passes over those that are taken.
 */
export async function numberingProblems(client: Client, table: PlannedTable): Promise<MigrationError[]> {
    if (table.inserts + table.replaces === 0) return [];
    const sequences = new Map(
        (await readSequences(client)).map((sequence) => [`${sequence.schema}.${sequence.name}`, sequence]),
    );
    const problems: MigrationError[] = [];
    for (const { column, sequence, known } of await numberedColumns(client, table)) {
        const state = sequences.get(sequence);
        if (state === undefined) continue;
        const handedOut = BigInt(state.lastValue) - (state.isCalled ? 0n : 1n);
        const limits = [{ what: `sequence ${sequence}`, limit: handedOut }];
        const position = await positionOf(client, table, column, known);
        if (position !== undefined) limits.push({ what: `stream_positions of ${known.stream ?? ""}`, limit: position });
        const highest = await furthest(client, table.planned, column, known);
        const passed = limits.filter(({ limit }) => highest > limit);
        if (passed.length === 0) continue;
        problems.push(
            new MigrationError("SM-E0984", {
                where: `table ${table.name}, column ${column}`,
                found: `planned rows up to ${highest}; ${passed.map(({ what, limit }) => `${what} is at ${limit}`).join(", ")}`,
                expected: "numbers that were handed out before",
            }),
        );
    }
    return problems;
}

async function numberedColumns(client: Client, table: PlannedTable): Promise<Numbered[]> {
    const present = new Set(table.common);
    const known = synapseSequences.flatMap((entry) =>
        entry.columns
            .filter(
                ({ table: name, column, pattern }) =>
                    name === table.name && pattern === undefined && present.has(column),
            )
            .map(({ column }) => ({ column, sequence: `${liveSchema}.${entry.sequence}`, known: entry })),
    );
    const owned: Numbered[] = [];
    for (const column of table.common) {
        const [found] = await query(
            client,
            z.object({ sequence: z.string() }),
            `SELECT n.nspname || '.' || c.relname AS sequence FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.oid = pg_get_serial_sequence($1, $2)::regclass`,
            [quotedName(liveSchema, table.name), column],
        );
        if (found !== undefined) owned.push({ column, sequence: found.sequence, known: { direction: "up" } });
    }
    return [...known, ...owned];
}

/** How far the stream's readers know of, or its rows reach: positions are written behind rows in some streams. */
async function positionOf(
    client: Client,
    table: PlannedTable,
    column: string,
    known: Numbered["known"],
): Promise<bigint | undefined> {
    if (known.stream === undefined) return undefined;
    if ((await readColumns(client, liveSchema, "stream_positions")).length === 0) return undefined;
    const { position } = await queryOne(
        client,
        z.object({ position: z.coerce.bigint().nullable() }),
        `SELECT max(abs(stream_id))::text AS position FROM ${quotedName(liveSchema, "stream_positions")}
        WHERE stream_name = ${escapeLiteral(known.stream)}`,
    );
    if (position === null) return undefined;
    const rows = await furthest(client, table.live, column, known);
    return rows > position ? rows : position;
}

/** The largest number, 0 when there is none. Streams that count down hold the negated numbers. */
async function furthest(client: Client, table: string, column: string, known: Numbered["known"]): Promise<bigint> {
    const number = `${known.direction === "up" ? "" : "-"}${escapeIdentifier(column)}`;
    const { highest } = await queryOne(
        client,
        z.object({ highest: z.coerce.bigint() }),
        `SELECT greatest(coalesce(max(${number}), 0), 0)::text AS highest FROM ${table}`,
    );
    return highest;
}
