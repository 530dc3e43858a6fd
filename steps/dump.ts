/** `pg_dump -Fd` and a manifest of all that it holds, out of one snapshot. */
import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { dumpContract } from "./contract/migrate.ts";
import { syncDirectory } from "./hosts/atomicFile.ts";
import { readDefinitions } from "./postgres/catalogue.ts";
import {
    programVersion,
    refuseOldProgram,
    runDatabaseProgram,
    type ProgramVersion,
} from "./postgres/clientPrograms.ts";
import {
    describeAddress,
    query,
    queryOne,
    withClient,
    type Client,
    type DatabaseAddress,
} from "./postgres/connection.ts";
import { archivedSequences, hashArchive, listArchive, refuseIncompleteArchive } from "./postgres/dumpArchive.ts";
import { tableFingerprints } from "./postgres/fingerprint.ts";
import { writeManifest, type Manifest } from "./postgres/manifest.ts";
import { compareSequences, readSequences, type Sequence } from "./postgres/sequences.ts";
import { readDatabaseFacts, readSchemaVersion, refuseOldServer, refuseWrongEncoding } from "./postgres/serverFacts.ts";
import { sourceAddress } from "./postgres/sourceDatabase.ts";
import { MigrationError } from "./run/errors.ts";
import { defineStep, type StepRun } from "./run/step.ts";
import { z } from "zod";

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
                refuseOldServer(facts, where);
                refuseWrongEncoding(facts, where);
                refuseOldProgram("pg_dump", program, facts.versionNumber);
                const synapse = await readSchemaVersion(client);
                await removeDump(run.directory);
                const began = new Date();
                const content = await dumpSnapshot(client, address, spec, program, partial, run);
                await rename(partial, directory);
                await syncDirectory(run.directory);
                const finished = new Date();
                const seconds = (finished.getTime() - began.getTime()) / 1000;
                const { name, owner, encoding, collate, ctype, systemIdentifier, oid } = facts;
                const manifest: Manifest = {
                    format: 1,
                    run: run.id,
                    serverName: spec.source.serverName,
                    fenced: spec.fenceToken !== undefined,
                    startedAt: began.toISOString(),
                    finishedAt: finished.toISOString(),
                    seconds,
                    database: {
                        ...{ name, owner, encoding, collate, ctype, systemIdentifier, oid },
                        serverVersion: facts.version,
                        serverVersionNumber: facts.versionNumber,
                    },
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

type DumpSpec = Parameters<typeof dump.act>[0];
type Content = Pick<Manifest, "snapshot" | "compression" | "tables" | "sequences" | "definitions" | "files">;

/** Dumps and fingerprints at the same time, in the snapshot of a transaction that is held open all along. */
async function dumpSnapshot(
    client: Client,
    address: DatabaseAddress,
    spec: DumpSpec,
    program: ProgramVersion,
    partial: string,
    run: StepRun,
): Promise<Content> {
    // From PostgreSQL 16 on, pg_dump has a compression that costs next to nothing; gzip would be the slowest part of the dump.
    const compression = program.major >= 16 ? "lz4:1" : "0";
    await client.query("SET idle_in_transaction_session_timeout = 0");
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { snapshot } = await queryOne(
        client,
        z.object({ snapshot: z.string() }),
        "SELECT pg_export_snapshot() AS snapshot",
    );
    const definitions = await readDefinitions(client);
    const sequences = await readSequences(client);
    let [dumped, hashed, parts] = [0, 0, 0];
    const failed = new AbortController();
    const signal = AbortSignal.any([run.signal, failed.signal]);
    const stopOther = <T>(work: Promise<T>): Promise<T> =>
        work.catch((error: unknown) => {
            failed.abort(error);
            throw error;
        });
    const [tables] = await run.progress.during(
        "dumping the database and hashing its rows",
        () =>
            Promise.all([
                stopOther(
                    tableFingerprints(address, {
                        step: "dump",
                        jobs: spec.jobs,
                        snapshot,
                        signal,
                        onTable: (done, total) => ([hashed, parts] = [done, total]),
                    }),
                ),
                stopOther(
                    runDatabaseProgram(
                        {
                            directory: spec.clientDirectory,
                            program: "pg_dump",
                            args: [
                                ...[
                                    "--format",
                                    "directory",
                                    "--jobs",
                                    String(spec.jobs),
                                    "--snapshot",
                                    snapshot,
                                    "--file",
                                    partial,
                                ],
                                ...[
                                    "--compress",
                                    compression,
                                    "--encoding",
                                    "UTF8",
                                    "--no-owner",
                                    "--no-acl",
                                    "--verbose",
                                ],
                                ...["--no-publications", "--no-subscriptions", "--exclude-schema", "synapse_migration"],
                            ],
                            address,
                            step: "dump",
                            onErrorLine: (line) => {
                                if (line.includes("dumping contents of table")) dumped += 1;
                            },
                        },
                        { directory: run.directory, signal },
                    ),
                ),
            ]),
        () => `${dumped} tables dumped, ${hashed} of ${parts} hashed`,
    );
    await query(client, z.object({}), "COMMIT");
    const entries = await listArchive(spec.clientDirectory, partial);
    await refuseIncompleteArchive(partial, entries, tables);
    const archived = await archivedSequences(
        spec.clientDirectory,
        partial,
        entries,
        join(run.directory, "dump-sequences.list"),
    );
    await rm(join(run.directory, "dump-sequences.list"), { force: true });
    const carried = carriedSequences(sequences, archived);
    const moved = compareSequences(sequences, carried);
    if (spec.fenceToken !== undefined && moved.length > 0) {
        throw new MigrationError("SM-E0912", {
            where: describeAddress(address),
            found: `sequences that moved while a fenced source was dumped\n${moved.slice(0, 5).join("\n")}`,
            expected: "a source that stands still",
        });
    }
    let read = 0;
    const files = await run.progress.during(
        "hashing the dump",
        () => hashArchive(partial, (bytes) => (read += bytes)),
        () => `${read} bytes`,
    );
    return { snapshot, compression, tables, sequences: carried, definitions, files };
}

/** The sequences with the values that the archive will give them. */
function carriedSequences(
    sequences: readonly Sequence[],
    archived: ReadonlyMap<string, { lastValue: string; isCalled: boolean }>,
): Sequence[] {
    const lost = sequences.filter(({ schema, name }) => !archived.has(`${schema}.${name}`));
    if (lost.length > 0 || archived.size !== sequences.length) {
        throw new MigrationError("SM-E0912", {
            where: "the dump",
            found: `values of ${archived.size} sequences${lost.map(({ name }) => `, none of ${name}`).join("")}`,
            expected: `values of ${sequences.length} sequences`,
        });
    }
    return sequences.map((sequence) => ({ ...sequence, ...archived.get(`${sequence.schema}.${sequence.name}`) }));
}

async function removeDump(runDirectory: string): Promise<void> {
    const { directory, partial, manifestFile } = dumpPaths(runDirectory);
    // The manifest first: a dump without one is not a dump.
    for (const path of [manifestFile, directory, partial]) await rm(path, { recursive: true, force: true });
}
