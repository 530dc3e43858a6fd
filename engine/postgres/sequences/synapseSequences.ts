/** Finds sequences that are behind what they number: in Synapse's tables, in `stream_positions`, in the columns that own them. */
import { escapeIdentifier, escapeLiteral } from "pg";
import { z } from "zod";
import type { Finding } from "../../../contract/shared.ts";
import { query, queryOne, quotedName, type Client } from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";
import { furthestPosition, repairedPosition, type StreamPosition, type StreamUse } from "./sequencePosition.ts";
import { readSequences, type Sequence } from "./sequences.ts";
import { synapseSequences, type SynapseColumn, type SynapseSequence } from "./sequenceStreams.ts";

export interface SequenceFault {
    /** With its schema. */
    readonly sequence: string;
    /** `behind`: it hands out a number again. `uncalled`: its next number is taken for seen. `unknown`: nothing is known of what it numbers. */
    readonly state: "behind" | "uncalled" | "unknown";
    /** Whether a homeserver fails on it. */
    readonly breaks: boolean;
    readonly evidence: string;
    /** Repairs it while Synapse is stopped. */
    readonly statement?: string;
}

/** {@link sequenceFaults} for the assessment: B26 of a source, where nothing is repaired silently. */
export async function sequenceFindings(client: Client): Promise<Finding[]> {
    return (await sequenceFaults(client)).map(({ sequence, state, breaks, evidence, statement }) => ({
        id: breaks ? "SM-E0512" : state === "unknown" ? "SM-W0518" : "SM-W0512",
        severity: breaks ? "error" : "warning",
        evidence: `${sequence} ${evidence}`,
        fix:
            statement === undefined
                ? "it is carried as it is; is it another program's?"
                : `while Synapse is stopped: ${statement}`,
    }));
}

/**
 * Sequences behind their tables or `stream_positions`, and sequences nothing is known of (P22, B26). Reads the highest id of every column
 * that a sequence numbers; most of them have an index.
 */
export async function sequenceFaults(client: Client): Promise<SequenceFault[]> {
    const sequences = await readSequences(client);
    const owned = await ownedColumns(client);
    const positions = await readPositions(client);
    const faults: SequenceFault[] = [];
    for (const sequence of sequences) {
        const { schema, name } = sequence;
        const known =
            owned.get(`${schema}.${name}`) ??
            synapseSequences.find((entry) => entry.sequence === name && schema === "public");
        if (known === undefined) {
            const evidence = "neither owned by a column nor known to be one of Synapse's";
            faults.push({ sequence: `${schema}.${name}`, state: "unknown", breaks: false, evidence });
            continue;
        }
        const uses = await readUses(client, known);
        const fault = judge(
            sequence,
            known,
            uses,
            positions.filter(({ stream }) => stream === known.stream),
        );
        if (fault !== undefined) faults.push(fault);
    }
    return faults;
}

function judge(
    { schema, name, lastValue, isCalled }: Sequence,
    { breaks }: SynapseSequence,
    uses: readonly StreamUse[],
    positions: readonly StreamPosition[],
): SequenceFault | undefined {
    const state = { lastValue: BigInt(lastValue), isCalled };
    const repaired = repairedPosition(state, uses, positions);
    if (repaired === undefined) return undefined;
    const needed = furthestPosition(uses, positions);
    const behind = (isCalled ? state.lastValue : state.lastValue - 1n) < needed;
    const where = [
        ...uses.flatMap(({ table, column, furthest }) =>
            furthest === undefined ? [] : [`${table}.${column} ${furthest}`],
        ),
        ...positions.map(({ stream, instance, position }) => `stream_positions ${stream}/${instance} ${position}`),
    ];
    return {
        sequence: `${schema}.${name}`,
        state: behind ? "behind" : "uncalled",
        breaks: breaks && behind,
        evidence: `stands at ${lastValue}${isCalled ? "" : " (not called)"}; ${where.join(", ")}`,
        statement: `SELECT setval(${escapeLiteral(quotedName(schema, name))}, ${repaired}, true);`,
    };
}

/** Sequences that a column owns (`serial`) or is generated from (identity), by name. */
async function ownedColumns(client: Client): Promise<Map<string, SynapseSequence & { schema: string }>> {
    const rows = await query(
        client,
        z.object({ schema: z.string(), sequence: z.string(), table: z.string(), column: z.string() }),
        `SELECT n.nspname AS schema, c.relname AS sequence, t.relname AS table, a.attname AS column
        FROM pg_depend d
        JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
        JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_class t ON t.oid = d.refobjid AND t.relnamespace = c.relnamespace
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND n.nspname NOT LIKE 'pg\\_%'
            AND n.nspname NOT IN ('information_schema', '${markerSchema}')`,
    );
    return new Map(
        rows.map(({ schema, sequence, table, column }) => [
            `${schema}.${sequence}`,
            { schema, sequence, direction: "up" as const, columns: [{ table, column }], breaks: true },
        ]),
    );
}

async function readPositions(client: Client): Promise<StreamPosition[]> {
    const { present } = await queryOne(
        client,
        z.object({ present: z.boolean() }),
        "SELECT to_regclass('public.stream_positions') IS NOT NULL AS present",
    );
    if (!present) return [];
    return query(
        client,
        z.object({ stream: z.string(), instance: z.string(), position: z.coerce.bigint() }),
        `SELECT stream_name AS stream, instance_name AS instance, stream_id::text AS position FROM public.stream_positions
        ORDER BY stream_name, instance_name`,
    );
}

async function readUses(client: Client, known: SynapseSequence & { schema?: string }): Promise<StreamUse[]> {
    const uses: StreamUse[] = [];
    for (const { table, column, pattern } of known.columns) {
        const place = { schema: known.schema ?? "public", table, column };
        if (!(await columnExists(client, place))) continue;
        const { furthest } = await queryOne(
            client,
            z.object({ furthest: z.coerce.bigint().nullable() }),
            `SELECT ${known.direction === "up" ? "max" : "min"}(${valueOf({ table, column, ...(pattern === undefined ? {} : { pattern }) })})::text AS furthest
            FROM ${quotedName(place.schema, table)}`,
        );
        uses.push({ table, column, direction: known.direction, furthest: furthest ?? undefined });
    }
    return uses;
}

function valueOf({ column, pattern }: SynapseColumn): string {
    const name = escapeIdentifier(column);
    return pattern === undefined ? name : `substring(${name} from ${escapeLiteral(pattern)})::bigint`;
}

async function columnExists(
    client: Client,
    place: { schema: string; table: string; column: string },
): Promise<boolean> {
    const rows = await query(
        client,
        z.object({ found: z.number() }),
        `SELECT 1 AS found FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = $2 AND attnum > 0 AND NOT attisdropped`,
        [quotedName(place.schema, place.table), place.column],
    );
    return rows.length > 0;
}
