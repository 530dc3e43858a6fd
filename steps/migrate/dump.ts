/** `pg_dump -Fd` and a manifest of all that it holds, out of one snapshot. */
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { dumpContract } from "../../contract/migrate.ts";
import { removePrivateFile, syncDirectory } from "../../engine/run/atomicFile.ts";
import { programVersion, refuseOldProgram } from "../../engine/postgres/server/clientPrograms.ts";
import { describeAddress, withClient } from "../../engine/postgres/connection.ts";
import { dumpSnapshot, manifestDatabase } from "../../engine/postgres/pgDump/dumpSnapshot.ts";
import { writeManifest, type Manifest } from "../../engine/postgres/compare/dumpManifest.ts";
import {
    readDatabaseFacts,
    readSchemaVersion,
    refuseOldServer,
    refuseWrongEncoding,
} from "../../engine/postgres/server/serverFacts.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { unknownSystem } from "../../engine/postgres/server/systemIdentifier.ts";
import { defineStep } from "../../engine/run/step.ts";

const directoryName = "dump";
const manifestName = "dump-manifest.json";

/** What the dump step makes in a run directory. */
function dumpPaths(runDirectory: string): { directory: string; partial: string; manifestFile: string } {
    const directory = join(runDirectory, directoryName);
    return { directory, partial: `${directory}.partial`, manifestFile: join(runDirectory, manifestName) };
}

export const dump = defineStep(
    dumpContract,
    async (spec, run) => {
        const address = await sourceAddress(spec.source);
        const where = describeAddress(address);
        const program = await programVersion(spec.clientDirectory, "pg_dump");
        const { directory, partial, manifestFile } = dumpPaths(run.directory);
        return withClient(
            address,
            { step: "dump", readOnly: true, statementSeconds: 0, signal: run.signal },
            async (client) => {
                const facts = await readDatabaseFacts(client);
                if (facts.systemIdentifier === null) run.progress.say(unknownSystem);
                refuseOldServer(facts, where);
                refuseWrongEncoding(facts, where);
                refuseOldProgram("pg_dump", program, facts.versionNumber);
                const synapse = await readSchemaVersion(client);
                await removeDump(run.directory);
                const began = new Date();
                const { jobs, clientDirectory } = spec;
                const content = await dumpSnapshot(
                    client,
                    {
                        ...{ address, step: "dump", jobs, clientDirectory, program, encoding: "UTF8" },
                        ...{ directory: partial, standsStill: spec.fenceToken !== undefined },
                    },
                    run,
                );
                await rename(partial, directory);
                await syncDirectory(run.directory);
                const finished = new Date();
                const seconds = (finished.getTime() - began.getTime()) / 1000;
                const manifest: Manifest = {
                    format: 1,
                    run: run.id,
                    serverName: spec.source.serverName,
                    fenced: spec.fenceToken !== undefined,
                    startedAt: began.toISOString(),
                    finishedAt: finished.toISOString(),
                    seconds,
                    database: manifestDatabase(facts),
                    synapse,
                    programVersion: program.text,
                    directory: directoryName,
                    ...content,
                };
                const manifestDigest = await writeManifest(manifestFile, manifest);
                const { tables, files } = manifest;
                const rows = tables.reduce((sum, table) => sum + table.rows, 0);
                const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
                await run.evidence({
                    manifestDigest,
                    database: manifest.database,
                    synapse,
                    programVersion: program.text,
                    tables,
                    files: files.length,
                    bytes,
                });
                return { directory, manifestFile, manifestDigest, tables: tables.length, rows, bytes, seconds };
            },
        );
    },
    async (_spec, run) => removeDump(run.directory),
);

async function removeDump(runDirectory: string): Promise<void> {
    const { directory, partial, manifestFile } = dumpPaths(runDirectory);
    // The manifest first: a dump without one is not a dump.
    await removePrivateFile(manifestFile);
    for (const path of [directory, partial]) await rm(path, { recursive: true, force: true });
}
