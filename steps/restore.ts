/** Restores the dump into a new database beside the one in use, as Synapse's own role. */
import { dirname, join } from "node:path";
import { restoreContract } from "./contract/migrate.ts";
import { programVersion, refuseOldProgram } from "./postgres/clientPrograms.ts";
import { oneTimeKeysTable } from "./postgres/compareDatabase.ts";
import { quotedName, withClient, type ConnectionOptions, type DatabaseAddress } from "./postgres/connection.ts";
import { inspectDatabase } from "./postgres/databaseState.ts";
import { refuseAlteredArchive } from "./postgres/dumpArchive.ts";
import { dropIncoming, makeIncoming } from "./postgres/incomingDatabase.ts";
import { readManifest, type Manifest } from "./postgres/manifest.ts";
import { advanceMarker, createMarker, describeMarker, refuseCommitted } from "./postgres/marker.ts";
import { readDatabaseFacts, refuseSameDatabase, refuseStandby, type DatabaseFacts } from "./postgres/serverFacts.ts";
import { restoreArchive } from "./postgres/restoreArchive.ts";
import { adminAddress, checkedName, incomingName, ownerAddress } from "./postgres/targetAddress.ts";
import { refuseUnknownExtensions } from "./postgres/extensions.ts";
import { MigrationError } from "./run/errors.ts";
import { defineStep, type StepRun } from "./run/step.ts";

export const restore = defineStep(
    restoreContract,
    async (spec, run) => {
        const { database, jobs } = spec;
        const began = performance.now();
        const manifest = await readManifest(spec.manifestFile, spec.manifestDigest);
        refuseOtherServer(manifest, spec.serverName, spec.manifestFile);
        const incoming = incomingName(checkedName(database.name), run.id);
        const maintenance = await adminAddress(database);
        const owner = await ownerAddress(database, incoming);
        const options = { step: "restore", signal: run.signal };
        await refuseUnsuitableServer(maintenance, spec, manifest, run, options);
        const directory = join(dirname(spec.manifestFile), manifest.directory);
        const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
        let read = 0;
        await run.progress.during(
            "reading every file of the dump again",
            () => refuseAlteredArchive(directory, manifest.files, (more) => (read += more)),
            () => `${read} of ${bytes} bytes`,
        );
        await makeIncoming(maintenance, incoming, database.owner, run.id, options);
        await withClient(owner, options, (client) => createMarker(client, run.id, spec.serverName, "restoring"));
        await restoreArchive(
            {
                ...{ clientDirectory: database.clientDirectory, directory, address: owner, step: "restore" },
                ...{ jobs, tables: manifest.tables.length },
            },
            run,
        );
        const oneTimeKeys = manifest.fenced && spec.fenceToken !== undefined ? "kept" : "emptied";
        await withClient(owner, { ...options, statementSeconds: 0 }, async (client) => {
            // Keys that the source has handed out since the snapshot would be handed out again, and messages could not be read.
            if (oneTimeKeys === "emptied")
                await client.query(`TRUNCATE ${quotedName(oneTimeKeysTable.schema, oneTimeKeysTable.name)}`);
            await run.progress.during("analysing the restored tables", () => client.query("ANALYZE"));
            await advanceMarker(client, run.id, ["restoring"], "restored");
        });
        const seconds = Math.round(performance.now() - began) / 1000;
        const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0);
        await run.evidence({
            incoming,
            tables: manifest.tables.length,
            rows,
            oneTimeKeys,
            files: manifest.files.length,
            bytes,
            seconds,
        });
        return { incoming, tables: manifest.tables.length, rows, oneTimeKeys, seconds };
    },
    async (spec, run) => {
        const incoming = incomingName(spec.database.name, run.id);
        const said = await dropIncoming(await adminAddress(spec.database), incoming, run.id, { step: "restore" });
        run.progress.say(said);
    },
);

type RestoreSpec = Parameters<typeof restore.act>[0];

function refuseOtherServer(manifest: Manifest, serverName: string, where: string): void {
    if (manifest.serverName === serverName) return;
    throw new MigrationError("SM-E0909", {
        where,
        found: `a dump of ${manifest.serverName}`,
        expected: `a dump of ${serverName}`,
    });
}

/** Everything that rules the target out, before anything is made. */
async function refuseUnsuitableServer(
    maintenance: DatabaseAddress,
    { database }: RestoreSpec,
    manifest: Manifest,
    run: StepRun,
    options: ConnectionOptions,
): Promise<void> {
    const where = `database ${database.name} at ${database.host}:${database.port}`;
    const facts = await withClient(maintenance, options, async (client) => {
        await refuseUnknownExtensions(client, manifest.definitions, where);
        return readDatabaseFacts(client);
    });
    refuseStandby(facts, where);
    refuseOlderServer(facts, manifest, where);
    refuseOldProgram(
        "pg_restore",
        await programVersion(database.clientDirectory, "pg_restore"),
        manifest.database.serverVersionNumber,
    );
    const final = await inspectDatabase(maintenance, database.name, options);
    refuseCommitted(final.marker, where);
    if (final.oid !== undefined)
        refuseSameDatabase(manifest.database, { systemIdentifier: facts.systemIdentifier, oid: final.oid }, where);
    if (final.marker?.run === run.id && final.marker.state !== "staged") {
        throw new MigrationError("SM-E0708", {
            where,
            found: `${describeMarker(final.marker)}: what this run has restored`,
            expected: "a run that has not restored yet",
            fix: "undo the swap first by declaring phase `stage`, or give the run a new id (config `run`)",
        });
    }
}

/** Major versions: a minor one changes nothing that a dump has. */
function refuseOlderServer(facts: DatabaseFacts, { database }: Manifest, where: string): void {
    if (Math.floor(facts.versionNumber / 10000) >= Math.floor(database.serverVersionNumber / 10000)) return;
    throw new MigrationError("SM-E0503", {
        where,
        found: `PostgreSQL ${facts.version}`,
        expected: `PostgreSQL ${database.serverVersion} or newer`,
    });
}
