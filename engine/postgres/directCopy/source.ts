/** What is read of a source before anything is made: its tables, their indexes, sequences, and what rules it out. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { describeAddress, inSnapshot, query, withClient, type Client, type DatabaseAddress } from "../connection.ts";
import { readSequences, type Sequence } from "../sequences/sequences.ts";
import { copiedTables, type CopiedTable } from "./tableParts.ts";

export interface CopySource {
    readonly tables: readonly CopiedTable[];
    readonly sequences: Sequence[];
    /** The tables that an index or a key is of, and refers to, by the oid of the index or the constraint: `schema.name`. */
    readonly tablesOf: ReadonlyMap<string, readonly string[]>;
}

/**
 * Reads the source in the snapshot.
 *
 * @throws MigrationError SM-E0540 for what only an archive can carry
 */
export async function readCopySource(
    address: DatabaseAddress,
    snapshot: string,
    session: { readonly step: string; readonly signal: AbortSignal },
): Promise<CopySource> {
    return withClient(address, { ...session, readOnly: true, statementSeconds: 0 }, (client) =>
        inSnapshot(client, snapshot, async () => {
            await refuseUncopied(client, describeAddress(address));
            return {
                tables: await copiedTables(client),
                sequences: await readSequences(client),
                tablesOf: await tablesOfObjects(client),
            };
        }),
    );
}

/** The oids of indexes and constraints are of different catalogues, and so are the kinds of entries that they are looked up for. */
async function tablesOfObjects(client: Client): Promise<Map<string, string[]>> {
    const rows = await query(
        client,
        z.object({ oid: z.string(), tables: z.array(z.string()) }),
        `SELECT o.oid, json_agg(s.nspname || '.' || c.relname) AS tables
        FROM (
            SELECT 'i' || indexrelid::text AS oid, indrelid AS relation FROM pg_index
            UNION SELECT 'c' || oid::text, conrelid FROM pg_constraint WHERE conrelid <> 0
            UNION SELECT 'c' || oid::text, confrelid FROM pg_constraint WHERE confrelid <> 0) o
        JOIN pg_class c ON c.oid = o.relation JOIN pg_namespace s ON s.oid = c.relnamespace
        WHERE s.nspname NOT LIKE 'pg\\_%' GROUP BY o.oid`,
    );
    return new Map(rows.map(({ oid, tables }) => [oid, tables]));
}

/** What a copy leaves out and a dump with its restore carries: nothing of it is in a homeserver's database. */
export async function uncopiedObjects(client: Client): Promise<string[]> {
    const found = await query(
        client,
        z.object({ what: z.string() }),
        `SELECT count(*)::text || ' large objects' AS what FROM pg_largeobject_metadata HAVING count(*) > 0
        UNION ALL SELECT 'materialized view ' || oid::regclass::text FROM pg_class WHERE relkind = 'm'
        UNION ALL SELECT 'rows that belong to the extension ' || extname FROM pg_extension WHERE extconfig IS NOT NULL`,
    );
    return found.map(({ what }) => what);
}

/** @throws MigrationError SM-E0540 naming {@link uncopiedObjects} */
export async function refuseUncopied(client: Client, where: string): Promise<void> {
    const found = await uncopiedObjects(client);
    if (found.length === 0) return;
    throw new MigrationError("SM-E0540", {
        where,
        found: found.slice(0, 5).join("\n"),
        expected: "tables and sequences alone",
    });
}
