/** The rows of a database as an archive of pg_dump, and all that a manifest says about them, out of one snapshot. */
import { join } from "node:path";
import { z } from "zod";
import { removePrivateFile } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import { Together } from "../../run/together.ts";
import { readDefinitions } from "../catalogue/catalogue.ts";
import { runDatabaseProgram, type ProgramVersion } from "../server/clientPrograms.ts";
import { describeAddress, query, queryOne, type Client, type DatabaseAddress } from "../connection.ts";
import { archivedSequences, hashArchive, listArchive, refuseIncompleteArchive } from "./dumpArchive.ts";
import { tableFingerprints } from "../compare/fingerprint.ts";
import type { Manifest } from "../compare/dumpManifest.ts";
import { compareSequences, readSequences, type Sequence } from "../sequences/sequences.ts";
import type { DatabaseFacts } from "../server/serverFacts.ts";

/** What is dumped, and how. */
export interface SnapshotDump {
    readonly address: DatabaseAddress;
    /** Names sessions and files. */
    readonly step: string;
    /** Processes of pg_dump, and as many connections that hash rows. */
    readonly jobs: number;
    readonly clientDirectory: string;
    /** Of pg_dump. */
    readonly program: ProgramVersion;
    /** Of the archive. */
    readonly encoding: string;
    /** Made by pg_dump; must not be there yet. */
    readonly directory: string;
    /** Nothing may write meanwhile: a sequence that moves is an error. */
    readonly standsStill: boolean;
}

/** The part of a manifest that the dump itself makes. */
export type DumpContent = Pick<Manifest, "snapshot" | "compression" | "tables" | "sequences" | "definitions" | "files">;

/** The part of a manifest that tells which database was dumped. */
export function manifestDatabase(facts: DatabaseFacts): Manifest["database"] {
    const { name, owner, encoding, collate, ctype, systemIdentifier, oid, version, versionNumber } = facts;
    const server = { serverVersion: version, serverVersionNumber: versionNumber };
    return { name, owner, encoding, collate, ctype, systemIdentifier, oid, ...server };
}

/**
 * Dumps and fingerprints at the same time, in the snapshot of a transaction that is held open all along.
 *
 * @param client  a session in that database, without a limit for statements
 * @param run  its directory gets files that are removed again
 * @throws MigrationError SM-E0912 when archive and database disagree, SM-E0906 when a file of the archive is missing, SM-E1101
 */
export async function dumpSnapshot(
    client: Client,
    { address, step, jobs, clientDirectory, program, encoding, directory, standsStill }: SnapshotDump,
    run: Pick<StepRun, "directory" | "signal" | "progress">,
): Promise<DumpContent> {
    // From PostgreSQL 16 on, pg_dump has a compression that costs next to nothing; gzip would be the slowest part of the dump.
    const compression = program.major >= 16 ? "lz4:1" : "0";
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { snapshot } = await queryOne(
        client,
        z.object({ snapshot: z.string() }),
        "SELECT pg_export_snapshot() AS snapshot",
    );
    const definitions = await readDefinitions(client);
    const sequences = await readSequences(client);
    let [dumped, hashed, parts] = [0, 0, 0];
    const together = new Together(run.signal);
    const { signal } = together;
    const [tables] = await run.progress.during(
        "dumping the database and hashing its rows",
        () =>
            together.all(
                tableFingerprints(address, {
                    step,
                    jobs,
                    snapshot,
                    signal,
                    onTable: (done, total) => ([hashed, parts] = [done, total]),
                }),
                runDatabaseProgram(
                    {
                        directory: clientDirectory,
                        program: "pg_dump",
                        args: [
                            ...["--format", "directory", "--jobs", String(jobs), "--snapshot", snapshot],
                            ...["--file", directory, "--compress", compression, "--encoding", encoding],
                            ...["--no-owner", "--no-acl", "--verbose"],
                            ...["--no-publications", "--no-subscriptions", "--exclude-schema", "synapse_migration"],
                        ],
                        address,
                        step,
                        onErrorLine: (line) => {
                            if (line.includes("dumping contents of table")) dumped += 1;
                        },
                    },
                    { directory: run.directory, signal },
                ),
            ),
        () => `${dumped} tables dumped, ${hashed} of ${parts} hashed`,
    );
    await query(client, z.object({}), "COMMIT");
    const entries = await listArchive(clientDirectory, directory);
    await refuseIncompleteArchive(directory, entries, tables);
    const listFile = join(run.directory, `${step}-sequences.list`);
    const archived = await archivedSequences(clientDirectory, directory, entries, listFile);
    await removePrivateFile(listFile);
    const carried = carriedSequences(sequences, archived);
    const moved = compareSequences(sequences, carried);
    if (standsStill && moved.length > 0) {
        throw new MigrationError("SM-E0912", {
            where: describeAddress(address),
            found: `sequences that moved while the database was dumped\n${moved.slice(0, 5).join("\n")}`,
            expected: "a database that stands still",
        });
    }
    let read = 0;
    const files = await run.progress.during(
        "hashing the dump",
        () => hashArchive(directory, (bytes) => (read += bytes)),
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
