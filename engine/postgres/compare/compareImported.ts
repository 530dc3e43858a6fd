/** Compares an imported database with what its dump said while it was read. */
import { oneTimeKeysTable, type CompareOptions, type Comparison, type ComparedTable } from "./compareDatabase.ts";
import { compareDeclared } from "./compareDeclared.ts";
import type { Check } from "../../../contract/shared.ts";
import { readDefinitions, type Definition } from "../catalogue/catalogue.ts";
import { withClient, type Client, type DatabaseAddress } from "../connection.ts";
import type { ImportManifest } from "./importManifest.ts";
import { tableLineDigests, type LineDigestOptions } from "../plainDump/lineDigest.ts";
import { MigrationError } from "../../run/errors.ts";
import { orUnmade, outcome, stateChecks } from "./stateChecks.ts";

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
    const rows = tables.reduce((sum, { targetRows }) => sum + targetRows, 0);
    const rowsCheck = outcome(
        "database-rows",
        unequal,
        `${tables.length} tables, ${rows} rows: every line of the dump, and no other${emptiedNote(tables)}`,
    );
    const { run, sequences, definitions, declared } = manifest;
    const { marker, encoding, ...others } = await withClient(address, session, (client) =>
        stateChecks(
            client,
            { run, sequences, definitions, owner: options.owner },
            { sequences: "as the dump set them", definitions: "as the dump's statements made them" },
        ),
    );
    const text =
        declared === undefined
            ? []
            : [
                  await withClient(address, session, (client) =>
                      orUnmade("database-declared", () => declaredCheck(client, declared)),
                  ),
              ];
    const checks = [marker, encoding, rowsCheck, ...Object.values(others), ...text];
    return { checks, tables };
}

/** The other definitions are those that the database had when it was filled: what was left out then is only known to the dump's text. */
async function declaredCheck(client: Client, declared: readonly Definition[]): Promise<Check> {
    const problems = compareDeclared(declared, await readDefinitions(client));
    return outcome("database-declared", problems, `${declared.length} definitions as the dump's text has them`);
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
