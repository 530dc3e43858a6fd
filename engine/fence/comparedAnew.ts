/** The last resort where the watermarks of a source are worth nothing: its rows, against the manifest of what was copied from it. */
import { z } from "zod";
import { copyContract } from "../../contract/directCopy.ts";
import { catchUpContract } from "../../contract/replicate.ts";
import { dumpContract } from "../../contract/migrate.ts";
import { readManifest } from "../postgres/compare/dumpManifest.ts";
import { tableFingerprints, type TableFingerprint } from "../postgres/compare/fingerprint.ts";
import type { DatabaseAddress } from "../postgres/connection.ts";
import { readReplicaManifest } from "../postgres/replication/replicaManifest.ts";
import type { Journal } from "../run/journal.ts";
import { stepState } from "../run/stepState.ts";

const jobs = 2;
const withManifest = z.looseObject({ manifestFile: z.string(), manifestDigest: z.string() });

/**
 * What was copied of a fenced source, table by table.
 *
 * @returns undefined where nothing was copied yet, or where rows were not counted one by one (`copy: replicate` with `verify: quick`)
 * @throws MigrationError SM-E0911 when the manifest is missing or damaged
 */
export async function copiedTables(journal: Pick<Journal, "read">): Promise<TableFingerprint[] | undefined> {
    const records = await journal.read();
    for (const { name } of [copyContract, dumpContract, catchUpContract]) {
        const { state, result } = stepState(records, name);
        const found = withManifest.safeParse(result);
        if (state !== "done" || !found.success) continue;
        const { manifestFile, manifestDigest } = found.data;
        if (name === catchUpContract.name) return (await readReplicaManifest(manifestFile, manifestDigest)).tables;
        return (await readManifest(manifestFile, manifestDigest)).tables;
    }
    return undefined;
}

/** Reads the whole database, without changing anything. @returns the tables whose rows are not those that were copied, one line each */
export async function differsFromCopy(
    address: DatabaseAddress,
    copied: readonly TableFingerprint[],
    signal: AbortSignal,
): Promise<string[]> {
    const found = await tableFingerprints(address, { step: "fence", jobs, signal });
    const nameOf = ({ schema, name }: TableFingerprint): string => `${schema}.${name}`;
    const [before, after] = [copied, found].map((tables) => new Map(tables.map((table) => [nameOf(table), table])));
    return [...new Set([...(before?.keys() ?? []), ...(after?.keys() ?? [])])].sort().flatMap((name) => {
        const [was, is] = [before?.get(name), after?.get(name)];
        if (was !== undefined && is !== undefined && was.rows === is.rows && was.hash === is.hash) return [];
        const rows = (table: TableFingerprint | undefined): string =>
            table === undefined ? "absent" : `${table.rows} rows`;
        return [
            `table ${name}: ${rows(was)} were copied, now ${rows(is)}${was?.rows === is?.rows ? " with other content" : ""}`,
        ];
    });
}
