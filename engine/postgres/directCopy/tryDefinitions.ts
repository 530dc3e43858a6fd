/** The dress rehearsal of a copy: the source's definitions are made in an empty database of the target, compared, and removed again. */
import type { TargetDatabase } from "../../../contract/targetDatabase.ts";
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import { compareDefinitions, describeDifference, readDefinitions, type Definition } from "../catalogue/catalogue.ts";
import { describeAddress, withClient, type ConnectionOptions, type DatabaseAddress } from "../connection.ts";
import { dropIncoming, makeIncoming } from "../databases/incomingDatabase.ts";
import { createMarker } from "../databases/marker.ts";
import { tryRename } from "../databases/swapDatabases.ts";
import { loaderOf } from "../databases/loader.ts";
import { adminAddress, trialName } from "../databases/targetAddress.ts";
import { inExportedSnapshot } from "../exportedSnapshot.ts";
import { prepareSession, refuseSuperuser } from "../plainDump/loadingSession.ts";
import { manifestDatabase } from "../pgDump/dumpSnapshot.ts";
import { readDatabaseFacts } from "../server/serverFacts.ts";
import { refuseUnsuitableTarget } from "../server/unsuitableTarget.ts";
import { listSchema, postDataEntries, restorePreData, withSchemaArchive, type SchemaCopy } from "./schemaArchive.ts";
import { runStatements } from "./tasks.ts";

export interface Trial {
    readonly source: DatabaseAddress;
    readonly database: TargetDatabase;
    readonly serverName: string;
    /** Names sessions and files. */
    readonly step: string;
}

type TrialRun = Pick<StepRun, "id" | "directory" | "signal" | "progress">;

/**
 * Does with no rows all that `copy` and `swap` will do, by their own functions: extensions, tables, indexes, keys, triggers, the rename. The
 * source is only read; what is made on the target is dropped, however this ends.
 *
 * Not found: what a definition does once there are rows, as an index whose function fails on one.
 *
 * @throws MigrationError SM-E0561 with what the target's server refused, or made otherwise; those of {@link refuseUnsuitableTarget}
 */
export async function tryDefinitions({ source, database, serverName, step }: Trial, run: TrialRun): Promise<void> {
    const name = trialName(run.id);
    const options = { step, signal: run.signal };
    const maintenance = await adminAddress(database);
    const admin = await adminAddress(database, name);
    const { clientDirectory } = database;
    await withClient(source, { ...options, readOnly: true, statementSeconds: 0 }, (client) =>
        inExportedSnapshot(client, async (snapshot) => {
            const definitions = await readDefinitions(client);
            const origin = { definitions, database: manifestDatabase(await readDatabaseFacts(client)) };
            await refuseUnsuitableTarget(maintenance, database, origin, run.id, options);
            try {
                const { address: target, role } = await loaderOf(database, name, options);
                await makeIncoming(maintenance, name, role, run.id, options);
                await withClient(admin, options, (to) => createMarker(to, run.id, serverName, "restoring"));
                const copy = { source, target, admin, snapshot, clientDirectory, step };
                const found = await refusal(source, () => makeDefinitions(copy, definitions, options, run));
                refuseDifferences(definitions, found, describeAddress(target));
                await tryRename(maintenance, name, database.name, options);
            } finally {
                await removeTrial(database, run).catch((error: unknown) =>
                    run.progress.note(`database ${name} stays: ${String(error)}`),
                );
            }
        }),
    );
}

/** What a killed attempt has left; nothing, mostly. */
export async function removeTrial(database: TargetDatabase, run: Pick<StepRun, "id">): Promise<void> {
    await dropIncoming(await adminAddress(database), trialName(run.id), run.id, { step: "trial" });
}

/** @returns the definitions of what was made */
async function makeDefinitions(
    copy: SchemaCopy,
    definitions: readonly Definition[],
    options: ConnectionOptions,
    run: TrialRun,
): Promise<Definition[]> {
    await withClient(copy.target, options, refuseSuperuser);
    return withSchemaArchive(copy, run, async (archive) => {
        await listSchema(archive, copy, definitions, run);
        await restorePreData(archive, copy, run);
        const entries = await postDataEntries(archive, copy, run);
        return withClient(copy.target, { ...options, statementSeconds: 0 }, async (client) => {
            await prepareSession(client, copy.target, 1);
            for (const entry of entries) await runStatements(client, entry);
            return readDefinitions(client);
        });
    });
}

/** The connection and the like are told as they are; what is said of the definitions, as what it means. */
async function refusal<T>(source: DatabaseAddress, work: () => Promise<T>): Promise<T> {
    try {
        return await work();
    } catch (error) {
        if (!(error instanceof MigrationError) || !["SM-E1101", "SM-E1104", "SM-E0515"].includes(error.code))
            throw error;
        throw untransferable(describeAddress(source), `${error.detail.where}: ${error.detail.found}`, error);
    }
}

function refuseDifferences(expected: readonly Definition[], found: readonly Definition[], where: string): void {
    // Large objects are content.
    const [here, there] = [expected, found].map((each) => each.filter(({ kind }) => kind !== "large objects"));
    const differences = compareDefinitions(here ?? [], there ?? []).map(describeDifference);
    if (differences.length > 0) throw untransferable(where, differences.slice(0, 8).join("\n"));
}

function untransferable(where: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0561", {
        where,
        found,
        expected: "definitions that the target's server makes as the source has them",
        changed: "nothing: they were tried in a database of their own, which was dropped",
        cause,
    });
}
