/** The checked copy of a database that is replaced: dumped, restored once beside it, and compared. */
import { lstat, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { escapeIdentifier, escapeLiteral } from "pg";
import { z } from "zod";
import type { Check, SafeguardCopy, TargetDatabase } from "../../../contract/index.ts";
import { makePrivateDirectory, syncDirectory } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import { until } from "../../run/until.ts";
import { programVersion, refuseOldProgram } from "../server/clientPrograms.ts";
import { compareContents } from "../compare/compareDatabase.ts";
import { queryOne, withClient, type Client } from "../connection.ts";
import { inspectDatabase } from "../databases/databaseState.ts";
import { dumpSnapshot, manifestDatabase } from "../pgDump/dumpSnapshot.ts";
import { largeObjectsFingerprint } from "../compare/fingerprint.ts";
import { dropIncoming, makeIncoming } from "../databases/incomingDatabase.ts";
import { writeManifest, type Manifest } from "../compare/dumpManifest.ts";
import { createMarker } from "../databases/marker.ts";
import { restoreArchive } from "../pgDump/restoreArchive.ts";
import { refuseLackingSpace } from "./safeguardSpace.ts";
import { readDatabaseFacts, type DatabaseFacts } from "../server/serverFacts.ts";
import { refuseSessions } from "../server/sessions.ts";
import { loaderOf } from "../databases/loader.ts";
import { adminAddress, previousName, scratchName } from "../databases/targetAddress.ts";

const step = "safeguard";
/** How long sessions of an attempt that was killed are waited for: the server ends them once it notices. */
const ownSessionsSeconds = 15;

/** A copy that was restored once and found equal. */
export interface CheckedCopy extends SafeguardCopy {
    readonly rows: number;
    /** Of the archive. */
    readonly bytes: number;
    readonly seconds: number;
    readonly checks: readonly Check[];
}

/** What the safeguard keeps in a run directory. The manifest is written last: a copy without one was never checked. */
export function safeguardPaths(runDirectory: string) {
    const root = join(runDirectory, "safeguard");
    const directory = join(root, "dump");
    return { root, directory, partial: `${directory}.partial`, manifestFile: join(root, "manifest.json") };
}

/**
 * Copies the database with the target's name, restores the copy into a scratch database and compares that with what was dumped. The
 * database itself is only read. Starts anew over what a killed attempt has left.
 *
 * @param jobs  processes that dump and restore at the same time
 * @throws MigrationError SM-E0709 naming who is connected, SM-E1201, SM-E0504, SM-E0515, SM-E1101 and SM-E0912 of the dump, SM-E0601 when
 *     what was restored is not what was dumped
 */
export async function copyDatabase(database: TargetDatabase, jobs: number, run: StepRun): Promise<CheckedCopy> {
    const { root, directory, partial, manifestFile } = safeguardPaths(run.directory);
    const began = new Date();
    const maintenance = await adminAddress(database);
    const options = { step, signal: run.signal };
    await removeScratch(database, run);
    await rm(root, { recursive: true, force: true });
    await refuseUsers(database, run);
    const manifest = await dumpInto(partial, database, jobs, began, run);
    const checks = await testRestore(partial, manifest, database, jobs, run);
    // A session that was opened meanwhile may have written rows that the copy lacks, and would keep the swap from renaming the database.
    await withClient(maintenance, options, (client) => refuseSessions(client, [database.name]));
    await rename(partial, directory);
    await syncDirectory(root);
    const finished = new Date();
    const seconds = (finished.getTime() - began.getTime()) / 1000;
    const digest = await writeManifest(manifestFile, { ...manifest, finishedAt: finished.toISOString(), seconds });
    const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
    const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
    return { manifestFile, digest, rows, bytes, seconds, checks };
}

/**
 * Removes the scratch database and the copy. The copy stays while the database it is of is still put aside.
 *
 * @returns what was done, for people
 */
export async function removeCopy(database: TargetDatabase, run: StepRun): Promise<string> {
    const { root } = safeguardPaths(run.directory);
    const made = await lstat(root).catch(() => undefined);
    if (made === undefined) return "no copy was made: nothing is removed";
    await removeScratch(database, run);
    const previous = previousName(database.name, run.id);
    const { state } = await inspectDatabase(await adminAddress(database), previous, { step });
    if (state === "occupied") return `the copy in ${root} stays: database ${previous} is still put aside`;
    await rm(root, { recursive: true, force: true });
    return `the copy in ${root} was removed`;
}

async function removeScratch(database: TargetDatabase, run: StepRun): Promise<void> {
    await dropIncoming(await adminAddress(database), scratchName(database.name, run.id), run.id, { step });
}

async function dumpInto(
    directory: string,
    database: TargetDatabase,
    jobs: number,
    began: Date,
    run: StepRun,
): Promise<Manifest> {
    const { clientDirectory, host, installed } = database;
    const address = await adminAddress(database, database.name);
    const program = await programVersion(clientDirectory, "pg_dump");
    return withClient(
        address,
        { step, readOnly: true, statementSeconds: 0, signal: run.signal },
        async (client): Promise<Manifest> => {
            const facts = await readDatabaseFacts(client);
            refuseOldProgram("pg_dump", program, facts.versionNumber);
            await refuseLackingSpace(
                client,
                { host, installed, bytes: facts.sizeBytes, runDirectory: run.directory },
                run.progress,
            );
            await makePrivateDirectory(safeguardPaths(run.directory).root);
            const content = await dumpSnapshot(
                client,
                {
                    ...{ address, step, jobs, clientDirectory, program, directory },
                    // What SQL_ASCII took without a check cannot be converted; all else can, and what is lost in that is found.
                    ...{ encoding: facts.encoding === "SQL_ASCII" ? facts.encoding : "UTF8", standsStill: true },
                },
                run,
            );
            return {
                ...{ format: 1, run: run.id, serverName: "", fenced: false },
                ...{ startedAt: began.toISOString(), finishedAt: began.toISOString(), seconds: 0 },
                database: manifestDatabase(facts),
                programVersion: program.text,
                directory: "dump",
                ...content,
                tables: [...content.tables, ...(await largeObjectsFingerprint(client))],
            };
        },
    );
}

async function testRestore(
    directory: string,
    manifest: Manifest,
    database: TargetDatabase,
    jobs: number,
    run: StepRun,
): Promise<Check[]> {
    const { clientDirectory } = database;
    const maintenance = await adminAddress(database);
    const scratch = scratchName(database.name, run.id);
    const options = { step, signal: run.signal };
    try {
        const { address, role } = await loaderOf(database, scratch, options);
        const statement = likeStatement(scratch, role, manifest.database);
        await makeIncoming(maintenance, scratch, role, run.id, options, statement);
        const admin = { ...maintenance, name: scratch };
        await withClient(admin, options, (client) => createMarker(client, run.id, "", "restoring"));
        const { definitions } = manifest;
        const tables = manifest.tables.length;
        await restoreArchive({ clientDirectory, directory, address, admin, definitions, step, jobs, tables }, run);
        const checks = await run.progress.during("comparing the restored copy with the database", () =>
            compareContents(address, manifest, { ...options, jobs }),
        );
        refuseUnequal(checks, scratch);
        return checks;
    } finally {
        // Also when the step is being stopped, and without hiding why; what cannot be dropped now is dropped by the next attempt or the undo.
        await removeScratch(database, run).catch((error: unknown) =>
            run.progress.note(`${scratch} stays: ${String(error)}`),
        );
    }
}

function refuseUnequal(checks: readonly Check[], scratch: string): void {
    const failed = checks.filter(({ state }) => state === "failed");
    if (failed.length === 0) return;
    throw new MigrationError("SM-E0601", {
        where: `the copy of the database that would be replaced, restored into ${scratch}`,
        found: failed.map(({ id, evidence }) => `${id}: ${evidence}`).join("\n"),
        expected: "the rows, sequences and definitions that were dumped",
        fix: "run the same command again: the copy is made anew. Does it fail again? Then look at the disk that holds the run directory",
        changed: "nothing: the database has its name and all of its rows",
    });
}

/** Encoding and sorting of the original: rows must be stored byte for byte as there. */
function likeStatement(
    name: string,
    owner: string,
    { encoding, collate, ctype }: Pick<DatabaseFacts, "encoding" | "collate" | "ctype">,
): string {
    return (
        `CREATE DATABASE ${escapeIdentifier(name)} OWNER ${escapeIdentifier(owner)} TEMPLATE template0 ` +
        `ENCODING ${escapeLiteral(encoding)} LC_COLLATE ${escapeLiteral(collate)} LC_CTYPE ${escapeLiteral(ctype)}`
    );
}

/** @throws MigrationError SM-E0709 while somebody else is connected */
async function refuseUsers(database: TargetDatabase, run: StepRun): Promise<void> {
    await withClient(await adminAddress(database), { step, signal: run.signal }, async (client) => {
        const gone = async (): Promise<true | undefined> =>
            (await ownSessions(client, database.name)) === 0 || undefined;
        await until(gone, { seconds: ownSessionsSeconds, signal: run.signal });
        await refuseSessions(client, [database.name]);
    });
}

async function ownSessions(client: Client, name: string): Promise<number> {
    const { count } = await queryOne(
        client,
        z.object({ count: z.number() }),
        "SELECT count(*)::int AS count FROM pg_stat_activity WHERE datname = $1 AND application_name = $2",
        [name, `synapse-migration ${step}`],
    );
    return count;
}
