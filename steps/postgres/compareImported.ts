/** Compares an imported database with what its dump said while it was read. */
import { compareDefinitions, describeDifference, readDefinitions, readOwners } from "./catalogue.ts";
import {
    foreignOwners,
    oneTimeKeysTable,
    outcome,
    type CompareOptions,
    type Comparison,
    type ComparedTable,
} from "./compareDatabase.ts";
import { withClient, type DatabaseAddress } from "./connection.ts";
import type { ImportManifest } from "./importManifest.ts";
import { describeMarker, readMarker } from "./marker.ts";
import { tableLineDigests, type LineDigestOptions } from "./plainDump/lineDigest.ts";
import { MigrationError } from "../run/errors.ts";
import { readDatabaseFacts } from "./serverFacts.ts";
import { compareSequences, readSequences } from "./sequences.ts";
import { sequenceFaults } from "./synapseSequences.ts";

export interface CompareImportedOptions extends CompareOptions {
    /** Rows that were added to `local_media_repository` after the import; its content is the media's own checks' then. */
    readonly mediaRowsAdded: number;
}

const mediaTable = "public.local_media_repository";

/** Runs every check, also after one has failed. Changes nothing. */
export async function compareImported(
    address: DatabaseAddress,
    manifest: ImportManifest,
    options: CompareImportedOptions,
): Promise<Comparison> {
    const { jobs = 2, signal } = options;
    const session = {
        step: "verify",
        readOnly: true,
        statementSeconds: 0,
        ...(signal === undefined ? {} : { signal }),
    };
    const found = await digestsOf(address, manifest, { jobs, ...(signal === undefined ? {} : { signal }) });
    const tables = found instanceof MigrationError ? [] : compareTables(manifest, found, options);
    const unequal =
        found instanceof MigrationError
            ? [found.detail.found]
            : tables.filter(({ equal }) => !equal).map(describeTable);
    const checks = await withClient(address, session, async (client) => {
        const { encoding, collate, ctype } = await readDatabaseFacts(client);
        const marker = await readMarker(client);
        const definitions = await readDefinitions(client);
        const differences = compareDefinitions(manifest.definitions, definitions);
        const owners = await readOwners(client);
        const faults = (await sequenceFaults(client)).filter(({ state, breaks }) => state !== "unknown" && breaks);
        const rows = tables.reduce((sum, { targetRows }) => sum + targetRows, 0);
        const sequences = await readSequences(client);
        return [
            outcome(
                "database-marker",
                marker?.run === manifest.run ? [] : [describeMarker(marker)],
                describeMarker(marker),
            ),
            outcome(
                "database-encoding",
                encoding === "UTF8" && collate === "C" && ctype === "C" ? [] : [`${encoding}, ${collate}, ${ctype}`],
                "UTF8, C, C",
            ),
            outcome(
                "database-rows",
                unequal,
                `${tables.length} tables, ${rows} rows: every line of the dump, and no other${emptiedNote(tables)}`,
            ),
            outcome(
                "database-sequences",
                compareSequences(manifest.sequences, sequences),
                `${sequences.length} sequences as the dump set them, is_called too`,
            ),
            outcome(
                "database-sequence-positions",
                faults.map(({ sequence, evidence }) => `${sequence} ${evidence}`),
                "no sequence is behind its columns or stream_positions",
            ),
            outcome(
                "database-definitions",
                differences.map(describeDifference),
                `${definitions.length} definitions as the dump's statements made them`,
            ),
            outcome(
                "database-owners",
                foreignOwners(owners, options.owner),
                `${owners.length} objects are owned by ${options.owner}`,
            ),
        ];
    });
    return { checks, tables };
}

/** A column that is not there any more keeps the rows from being read, and is one thing among others that differ. */
async function digestsOf(address: DatabaseAddress, manifest: ImportManifest, options: LineDigestOptions) {
    try {
        return await tableLineDigests(address, manifest.tables, options);
    } catch (error) {
        if (error instanceof MigrationError && error.code === "SM-E1104") return error;
        throw error;
    }
}

function compareTables(
    manifest: ImportManifest,
    found: readonly { schema: string; name: string; rows: number; digest: string }[],
    { oneTimeKeys, mediaRowsAdded }: CompareImportedOptions,
): ComparedTable[] {
    const nameOf = ({ schema, name }: { schema: string; name: string }): string => `${schema}.${name}`;
    const targets = new Map(found.map((table) => [nameOf(table), table]));
    return manifest.tables.map((from) => {
        const table = nameOf(from);
        const to = targets.get(table);
        const emptied = oneTimeKeys === "emptied" && table === nameOf(oneTimeKeysTable);
        const added = table === mediaTable ? mediaRowsAdded : 0;
        const rows = emptied ? 0 : from.rows + added;
        const sameContent = emptied || added > 0 || to?.digest === from.digest;
        return {
            table,
            sourceRows: from.rows,
            targetRows: to?.rows ?? 0,
            sourceHash: from.digest,
            targetHash: to?.digest ?? "absent",
            equal: to?.rows === rows && sameContent,
            emptied,
            ...(added > 0 ? { added } : {}),
        };
    });
}

function describeTable({ table, sourceRows, targetRows, targetHash }: ComparedTable): string {
    if (targetHash === "absent") return `${table} is missing`;
    if (sourceRows !== targetRows) return `${table}: ${sourceRows} rows in the dump, ${targetRows} in the database`;
    return `${table}: ${sourceRows} rows, but not the same ones`;
}

function emptiedNote(tables: readonly ComparedTable[]): string {
    return tables.some((table) => table.emptied) ? ", one-time keys emptied" : "";
}
