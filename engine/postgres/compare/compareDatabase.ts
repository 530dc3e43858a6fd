/** Compares a restored database with the manifest of its dump: rows, sequences, definitions, owners, encoding. */
import type { Check } from "../../../contract/shared.ts";
import { withClient, type DatabaseAddress } from "../connection.ts";
import {
    largeObjectsFingerprint,
    tableFingerprints,
    type FingerprintOptions,
    type TableFingerprint,
} from "./fingerprint.ts";
import type { Manifest } from "./dumpManifest.ts";
import { contentChecks, orUnmade, outcome, stateChecks } from "./stateChecks.ts";

export interface CompareOptions {
    /** `emptied`: the table of one-time keys must have no rows. */
    readonly oneTimeKeys: "kept" | "emptied";
    /** Synapse's role, which must own everything. */
    readonly owner: string;
    /** Connections at a time; 2 when absent. */
    readonly jobs?: number;
    readonly signal?: AbortSignal;
    readonly onTable?: (done: number, total: number) => void;
}

export interface ComparedTable {
    /** With its schema. */
    readonly table: string;
    readonly sourceRows: number;
    readonly targetRows: number;
    readonly sourceHash: string;
    readonly targetHash: string;
    readonly equal: boolean;
    /** Emptied on purpose. */
    readonly emptied: boolean;
    /** Rows that the target has beyond those of the source, and is meant to have. */
    readonly added?: number;
}

export interface Comparison {
    readonly checks: Check[];
    readonly tables: ComparedTable[];
}

/** The keys that must not be handed out twice (Synapse's backup documentation, `e2e_one_time_keys_json`). */
export const oneTimeKeysTable = { schema: "public", name: "e2e_one_time_keys_json" } as const;

/** Runs every check, also after one has failed. Changes nothing. */
export async function compareDatabase(
    address: DatabaseAddress,
    manifest: Manifest,
    options: CompareOptions,
): Promise<Comparison> {
    const { jobs = 2, signal, onTable } = options;
    const session = {
        step: "verify",
        readOnly: true,
        statementSeconds: 0,
        ...(signal === undefined ? {} : { signal }),
    };
    let tables: ComparedTable[] = [];
    const rows = await orUnmade("database-rows", async () => {
        const fingerprints = await tableFingerprints(address, {
            ...session,
            jobs,
            ...(onTable === undefined ? {} : { onTable }),
        });
        tables = compareTables(manifest.tables, fingerprints, options.oneTimeKeys);
        return rowsCheck(tables);
    });
    const { run, sequences, definitions } = manifest;
    const { marker, encoding, ...others } = await withClient(address, session, (client) =>
        stateChecks(client, { run, sequences, definitions, owner: options.owner }),
    );
    const checks = [marker, encoding, rows, ...Object.values(others)];
    return { checks, tables };
}

/** {@link compareDatabase} for callers that need the checks alone. */
export async function verifyDatabase(
    address: DatabaseAddress,
    manifest: Manifest,
    options: CompareOptions,
): Promise<Check[]> {
    return (await compareDatabase(address, manifest, options)).checks;
}

/**
 * Compares what is in a database with a manifest, whoever owns it, whatever its encoding, Synapse's or not: rows, large
 * objects, sequences, definitions.
 * Changes nothing.
 */
export async function compareContents(
    address: DatabaseAddress,
    manifest: Pick<Manifest, "tables" | "sequences" | "definitions">,
    options: FingerprintOptions,
): Promise<Check[]> {
    const fingerprints = await tableFingerprints(address, options);
    return withClient(address, { ...options, readOnly: true, statementSeconds: 0 }, async (client) => {
        const found = [...fingerprints, ...(await largeObjectsFingerprint(client))];
        const tables = compareTables(manifest.tables, found, "kept");
        return [rowsCheck(tables), ...Object.values(await contentChecks(client, manifest))];
    });
}

/** Pairs the tables of both sides; a table that one side lacks counts as unequal. */
function compareTables(
    source: readonly TableFingerprint[],
    target: readonly TableFingerprint[],
    oneTimeKeys: "kept" | "emptied",
): ComparedTable[] {
    const nameOf = ({ schema, name }: Pick<TableFingerprint, "schema" | "name">): string => `${schema}.${name}`;
    const sources = new Map(source.map((table) => [nameOf(table), table]));
    const targets = new Map(target.map((table) => [nameOf(table), table]));
    return [...new Set([...sources.keys(), ...targets.keys()])].sort().map((table) => {
        const [from, to] = [sources.get(table), targets.get(table)];
        const emptied = oneTimeKeys === "emptied" && table === nameOf(oneTimeKeysTable);
        const [rows, hash] = emptied ? [0, "0"] : [from?.rows, from?.hash];
        return {
            table,
            sourceRows: from?.rows ?? 0,
            targetRows: to?.rows ?? 0,
            sourceHash: from?.hash ?? "absent",
            targetHash: to?.hash ?? "absent",
            equal: from !== undefined && to !== undefined && to.rows === rows && to.hash === hash,
            emptied,
        };
    });
}

function describeTable({ table, sourceRows, targetRows, sourceHash, targetHash }: ComparedTable): string {
    if (sourceHash === "absent") return `${table} is not in the dump`;
    if (targetHash === "absent") return `${table} is missing`;
    if (sourceRows !== targetRows) return `${table}: ${sourceRows} rows in the dump, ${targetRows} in the database`;
    return `${table}: ${sourceRows} rows, but not the same ones`;
}

function rowsCheck(tables: readonly ComparedTable[]): Check {
    const rows = tables.reduce((sum, { targetRows }) => sum + targetRows, 0);
    const emptied = tables.some((table) => table.emptied) ? ", one-time keys emptied" : "";
    return outcome(
        "database-rows",
        tables.filter(({ equal }) => !equal).map(describeTable),
        `${tables.length} tables, ${rows} rows: counts and hashes equal${emptied}`,
    );
}
