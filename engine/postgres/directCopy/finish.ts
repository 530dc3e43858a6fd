/** What a copy ends with: sequences, and the proof that the rows were all rows of a source that stood still. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import {
    describeAddress,
    query,
    quotedName,
    withClient,
    type Client,
    type ConnectionOptions,
    type DatabaseAddress,
} from "../connection.ts";
import type { TableFingerprint } from "../compare/fingerprint.ts";
import { compareSequences, readSequences, type Sequence } from "../sequences/sequences.ts";

/** Sequences that were never called hand out their value next; the others the one behind it. */
export async function setSequences(client: Client, sequences: readonly Sequence[]): Promise<void> {
    if (sequences.length === 0) return;
    const values = sequences.map(({ schema, name, lastValue, isCalled }) => ({
        ...{ name: quotedName(schema, name), value: lastValue, called: isCalled },
    }));
    await query(
        client,
        z.object({}),
        `SELECT setval(s.name::regclass, s.value, s.called)
        FROM json_to_recordset($1) AS s (name text, value bigint, called boolean)`,
        [JSON.stringify(values)],
    );
}

/** @throws MigrationError SM-E0912 naming sequences that are not where they were */
export async function refuseMoved(
    source: DatabaseAddress,
    before: readonly Sequence[],
    session: ConnectionOptions,
): Promise<void> {
    const moved = compareSequences(before, await withClient(source, { ...session, readOnly: true }, readSequences));
    if (moved.length === 0) return;
    throw new MigrationError("SM-E0912", {
        where: describeAddress(source),
        found: `sequences that moved while the database was copied\n${moved.slice(0, 5).join("\n")}`,
        expected: "a database that stands still",
    });
}

/**
 * @param copied  rows by `schema.name`
 * @throws MigrationError SM-E0912 naming tables of which another number of rows was copied than is in the snapshot
 */
export function refuseLostRows(tables: readonly TableFingerprint[], copied: ReadonlyMap<string, number>): void {
    const wrong = tables.filter(({ schema, name, rows }) => copied.get(`${schema}.${name}`) !== rows);
    if (wrong.length === 0 && tables.length === copied.size) return;
    throw new MigrationError("SM-E0912", {
        where: "the copied tables",
        found: wrong
            .slice(0, 5)
            .map(({ schema, name }) => `${copied.get(`${schema}.${name}`) ?? "no"} rows of table ${schema}.${name}`)
            .join("\n"),
        expected: `${tables.length} tables, with as many rows as were hashed`,
    });
}
