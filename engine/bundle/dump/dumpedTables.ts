/** Compares what a dump brought with what the database held in the same snapshot. Pure, but for the list of tables. */
import { z } from "zod";
import { query, type Client } from "../../postgres/connection.ts";
import { markerSchema } from "../../postgres/databases/marker.ts";
import type { DigestedTable, LineDigest } from "../../postgres/plainDump/lineDigest.ts";
import type { Sequence } from "../../postgres/sequences/sequences.ts";
import type { DatabaseSection } from "../write/bundleManifest.ts";

const tableShape = z.object({ schema: z.string(), name: z.string(), columns: z.array(z.string()) });

/** The tables that pg_dump copies, each with the columns of its COPY: in the order they were made in, without generated ones. */
export async function tablesToDump(client: Client): Promise<DigestedTable[]> {
    return query(
        client,
        tableShape,
        `SELECT s.nspname AS schema, c.relname AS name,
            coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '[]') AS columns
        FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
        WHERE c.relkind = 'r' AND s.nspname NOT LIKE 'pg\\_%' AND s.nspname NOT IN ('information_schema', '${markerSchema}')
            AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
        ORDER BY s.nspname COLLATE "C", c.relname COLLATE "C"`,
    );
}

/** One line for each table whose rows are not those of the database, to the byte. */
export function compareDumpedTables(
    dumped: Pick<DatabaseSection, "tables">,
    inDatabase: readonly LineDigest[],
): string[] {
    const before = new Map(inDatabase.map((table) => [nameOf(table), table]));
    const after = new Map(dumped.tables.map((table) => [nameOf(table), table]));
    return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((name) => {
        const [was, is] = [before.get(name), after.get(name)];
        if (was === undefined) return [`${name} is in the dump, and not in the database`];
        if (is === undefined) return [`${name} is not in the dump`];
        if (was.rows !== is.rows) return [`${name}: ${was.rows} rows in the database, ${is.rows} in the dump`];
        return was.digest === is.digest ? [] : [`${name}: ${was.rows} rows, but not the same ones`];
    });
}

/**
 * One line for each sequence that the dump would set to another position.
 *
 * @param standsStill  sequences are part of no snapshot: those of a running homeserver move on, never back
 */
export function compareDumpedSequences(
    dumped: Pick<DatabaseSection, "sequences">,
    inDatabase: readonly Sequence[],
    standsStill: boolean,
): string[] {
    const before = new Map(inDatabase.map((sequence) => [nameOf(sequence), sequence]));
    const after = new Map(dumped.sequences.map((sequence) => [nameOf(sequence), sequence]));
    return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((name) => {
        const [was, is] = [before.get(name), after.get(name)];
        if (was === undefined || is === undefined)
            return [`${name} is only in the ${is === undefined ? "database" : "dump"}`];
        if (!standsStill || (was.lastValue === is.lastValue && was.isCalled === is.isCalled)) return [];
        return [`${name}: ${was.lastValue} in the database, ${is.lastValue} in the dump`];
    });
}

const nameOf = ({ schema, name }: { readonly schema: string; readonly name: string }): string => `${schema}.${name}`;
