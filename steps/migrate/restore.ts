/** Restores the dump into a new database beside the one in use, as Synapse's own role. */
import { restoreContract } from "../../contract/migrate.ts";
import { programVersion, refuseOldProgram } from "../../engine/postgres/server/clientPrograms.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { refuseAlteredArchive } from "../../engine/postgres/pgDump/dumpArchive.ts";
import { dropIncoming, emptyOneTimeKeys, makeIncoming } from "../../engine/postgres/databases/incomingDatabase.ts";
import { dumpDirectory, readManifest, type Manifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { advanceMarker, createMarker } from "../../engine/postgres/databases/marker.ts";
import { restoreArchive } from "../../engine/postgres/pgDump/restoreArchive.ts";
import { loaderOf } from "../../engine/postgres/databases/loader.ts";
import { adminAddress, checkedName, incomingName } from "../../engine/postgres/databases/targetAddress.ts";
import { refuseUnsuitableTarget } from "../../engine/postgres/server/unsuitableTarget.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep } from "../../engine/run/step.ts";

export const restore = defineStep(
    restoreContract,
    async (spec, run) => {
        const { database, jobs } = spec;
        const began = performance.now();
        const manifest = await readManifest(spec.manifestFile, spec.manifestDigest);
        refuseOtherServer(manifest, spec.serverName, spec.manifestFile);
        const incoming = incomingName(checkedName(database.name), run.id);
        const maintenance = await adminAddress(database);
        const admin = { ...maintenance, name: incoming };
        const options = { step: "restore", signal: run.signal };
        await refuseUnsuitableTarget(maintenance, database, manifest, run.id, options);
        const program = await programVersion(database.clientDirectory, "pg_restore");
        refuseOldProgram("pg_restore", program, manifest.database.serverVersionNumber);
        const directory = dumpDirectory(manifest, spec.manifestFile);
        const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
        let read = 0;
        await run.progress.during(
            "reading every file of the dump again",
            () => refuseAlteredArchive(directory, manifest.files, (more) => (read += more)),
            () => `${read} of ${bytes} bytes`,
        );
        const loader = await loaderOf(database, incoming, options);
        const { address, role } = loader;
        await makeIncoming(maintenance, incoming, role, run.id, options);
        await withClient(admin, options, (client) => createMarker(client, run.id, spec.serverName, "restoring"));
        await restoreArchive(
            {
                ...{ clientDirectory: database.clientDirectory, directory, address, admin, step: "restore" },
                ...{ definitions: manifest.definitions, jobs, tables: manifest.tables.length },
            },
            run,
        );
        const oneTimeKeys = manifest.fenced && spec.fenceToken !== undefined ? "kept" : "emptied";
        await withClient(address, { ...options, statementSeconds: 0 }, async (client) => {
            if (oneTimeKeys === "emptied") await emptyOneTimeKeys(client);
            await run.progress.during("analysing the restored tables", () => client.query("ANALYZE"));
        });
        await loader.handOver();
        await withClient(admin, options, (client) => advanceMarker(client, run.id, ["restoring"], "restored"));
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

function refuseOtherServer(manifest: Manifest, serverName: string, where: string): void {
    if (manifest.serverName === serverName) return;
    throw new MigrationError("SM-E0909", {
        where,
        found: `a dump of ${manifest.serverName}`,
        expected: `a dump of ${serverName}`,
    });
}
