/** Compares a restored database with the manifest of its dump: rows, sequences, definitions, owners, encoding. */
import type { Check } from "../contract/shared.ts";
import { compareDefinitions, describeDifference, readDefinitions, readOwners, type OwnedObject } from "./catalogue.ts";
import { withClient, type Client, type DatabaseAddress } from "./connection.ts";
import {
    largeObjectsFingerprint,
    tableFingerprints,
    type FingerprintOptions,
    type TableFingerprint,
} from "./fingerprint.ts";
import type { Manifest } from "./manifest.ts";
import { describeMarker, readMarker } from "./marker.ts";
import { compareSequences, readSequences } from "./sequences.ts";
import { sequenceFaults } from "./synapseSequences.ts";
import { readDatabaseFacts } from "./serverFacts.ts";

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

const named = 5;

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
    const fingerprints = await tableFingerprints(address, {
        ...session,
        jobs,
        ...(onTable === undefined ? {} : { onTable }),
    });
    const tables = compareTables(manifest.tables, fingerprints, options.oneTimeKeys);
    const checks = await withClient(address, session, async (client) => {
        const facts = await readDatabaseFacts(client);
        const marker = await readMarker(client);
        const { rows, sequences, definitions } = await contentChecks(client, manifest, tables);
        const owners = await readOwners(client);
        const faults = (await sequenceFaults(client)).filter(({ state }) => state !== "unknown");
        const broken = faults.filter(({ breaks }) => breaks);
        const { encoding, collate, ctype } = facts;
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
            rows,
            sequences,
            {
                ...outcome(
                    "database-sequence-positions",
                    (broken.length > 0 ? broken : faults).map(({ sequence, evidence }) => `${sequence} ${evidence}`),
                    "no sequence is behind its columns or stream_positions",
                ),
                ...(broken.length === 0 && faults.length > 0 ? { state: "warning" as const } : {}),
            },
            definitions,
            outcome(
                "database-owners",
                foreignOwners(owners, options.owner),
                `${owners.length} objects are owned by ${options.owner}`,
            ),
        ];
    });
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
        return Object.values(await contentChecks(client, manifest, compareTables(manifest.tables, found, "kept")));
    });
}

async function contentChecks(
    client: Client,
    manifest: Pick<Manifest, "sequences" | "definitions">,
    tables: readonly ComparedTable[],
): Promise<Record<"rows" | "sequences" | "definitions", Check>> {
    const sequences = await readSequences(client);
    const definitions = await readDefinitions(client);
    const differences = compareDefinitions(manifest.definitions, definitions);
    return {
        rows: outcome("database-rows", tables.filter(({ equal }) => !equal).map(describeTable), rowsEvidence(tables)),
        sequences: outcome(
            "database-sequences",
            compareSequences(manifest.sequences, sequences),
            `${sequences.length} sequences equal, is_called too`,
        ),
        definitions: outcome(
            "database-definitions",
            differences.map(describeDifference),
            definitionsEvidence(definitions),
        ),
    };
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

function rowsEvidence(tables: readonly ComparedTable[]): string {
    const rows = tables.reduce((sum, { targetRows }) => sum + targetRows, 0);
    const emptied = tables.some((table) => table.emptied) ? ", one-time keys emptied" : "";
    return `${tables.length} tables, ${rows} rows: counts and hashes equal${emptied}`;
}

function definitionsEvidence(definitions: readonly { readonly kind: string }[]): string {
    const counts = new Map<string, number>();
    for (const { kind } of definitions) counts.set(kind, (counts.get(kind) ?? 0) + 1);
    const shown = ["table", "column", "index", "constraint", "trigger", "function", "sequence"];
    return `${definitions.length} definitions equal: ${shown.map((kind) => `${kind} ${counts.get(kind) ?? 0}`).join(", ")}`;
}

export function foreignOwners(owners: readonly OwnedObject[], owner: string): string[] {
    return owners
        .filter((object) => object.owner !== owner)
        .map((object) => `${object.kind} ${object.name} is owned by ${object.owner}`);
}

export function outcome(id: string, problems: readonly string[], evidence: string): Check {
    if (problems.length === 0) return { id, state: "passed", evidence };
    const more = problems.length > named ? `; and ${problems.length - named} more` : "";
    return { id, state: "failed", evidence: problems.slice(0, named).join("; ") + more };
}
