/** Dumps the source's database into the bundle, and compares the dump with the database in the same snapshot. */
import { z } from "zod";
import { removeArtefact, requireOwnBundle, takeBackArtefact } from "./bundle/bundleDirectory.ts";
import { keepSection, type DatabaseSection } from "./bundle/bundleManifest.ts";
import { databaseName } from "./bundle/bundleNames.ts";
import { writeArtefact, type Artefact } from "./bundle/artefact.ts";
import { compareDumpedSequences, compareDumpedTables, tablesToDump } from "./bundle/dumpedTables.ts";
import { observed } from "./bundle/observed.ts";
import { withPlainDump } from "./bundle/plainDumpStream.ts";
import { exportDatabaseContract } from "./contract.ts";
import { programVersion, refuseOldProgram } from "./postgres/clientPrograms.ts";
import { describeAddress, queryOne, withClient, type Client, type DatabaseAddress } from "./postgres/connection.ts";
import type { PlainDumpContent } from "./postgres/plainDump/content.ts";
import { inspectPlainDump } from "./postgres/plainDump/inspect.ts";
import { tableLineDigests, type LineDigest } from "./postgres/plainDump/lineDigest.ts";
import { readSequences, type Sequence } from "./postgres/sequences.ts";
import { readDatabaseFacts, readSchemaVersion, refuseOldServer, refuseWrongEncoding } from "./postgres/serverFacts.ts";
import { sourceAddress } from "./postgres/sourceDatabase.ts";
import { MigrationError } from "./run/errors.ts";
import { defineStep, type StepRun } from "./run/step.ts";

type ExportDatabaseSpec = z.infer<typeof exportDatabaseContract.spec>;

const step = "export-database";

export const exportDatabase = defineStep(
    exportDatabaseContract,
    async (spec, run) => {
        await requireOwnBundle(spec.bundle.directory, run.directory);
        const address = await sourceAddress(spec.source);
        const where = describeAddress(address);
        const program = await programVersion(spec.clientDirectory, "pg_dump");
        const session = { step, readOnly: true, statementSeconds: 0, signal: run.signal };
        return withClient(address, session, async (client) => {
            const facts = await readDatabaseFacts(client);
            refuseOldServer(facts, where);
            refuseWrongEncoding(facts, where);
            refuseOldProgram("pg_dump", program, facts.versionNumber);
            const synapse = await readSchemaVersion(client);
            const began = performance.now();
            const { artefact, content, digests, sequences } = await dumpAndDigest(client, address, spec, run);
            const problems = [
                ...compareDumpedTables(content, digests),
                ...compareDumpedSequences(content, sequences, spec.fenceToken !== undefined),
            ];
            if (problems.length > 0) {
                await removeArtefact(spec.bundle.directory, databaseName);
                throw new MigrationError("SM-E0912", {
                    where,
                    found: problems.slice(0, 5).join("\n"),
                    expected: "a dump that brings every row of the snapshot, and no other",
                });
            }
            const seconds = (performance.now() - began) / 1000;
            const { bytes, sha256, serverVersion, programVersion: dumpedBy } = content;
            const section: DatabaseSection = {
                artefact,
                dump: { bytes, sha256, serverVersion, programVersion: dumpedBy },
                synapse,
                tables: content.tables.map(({ schema, name, rows, bytes: tableBytes, digest }) => ({
                    ...{ schema, name, rows, bytes: tableBytes, digest },
                })),
                sequences: content.sequences.map(({ schema, name, lastValue, isCalled }) => ({
                    ...{ schema, name, lastValue, isCalled },
                })),
                leftOut: ["owners and privileges: the receiver has other roles"],
            };
            await run.evidence({ ...section, tables: comparedTables(content, digests), seconds });
            const rows = section.tables.reduce((sum, table) => sum + table.rows, 0);
            const kept = await keepSection("database", section, [artefact], seconds, run.directory);
            return { ...kept, tables: section.tables.length, rows };
        });
    },
    ({ bundle }, run) => takeBackArtefact(bundle.directory, databaseName, run.directory),
);

/** As the report shows tables: in the database, and in the dump. */
function comparedTables({ tables }: Pick<PlainDumpContent, "tables">, digests: readonly LineDigest[]): object[] {
    const found = new Map(digests.map((table) => [`${table.schema}.${table.name}`, table]));
    return tables.map(({ schema, name, rows, digest }) => {
        const table = `${schema}.${name}`;
        const was = found.get(table);
        const counted = { sourceRows: was?.rows ?? 0, targetRows: rows };
        return {
            table,
            ...counted,
            sourceHash: was?.digest ?? "absent",
            targetHash: digest,
            equal: was?.digest === digest,
        };
    });
}

interface Dumped {
    readonly artefact: Artefact;
    readonly content: PlainDumpContent;
    readonly digests: readonly LineDigest[];
    readonly sequences: readonly Sequence[];
}

/** Both read the same snapshot at the same time: compressing takes one processor, so hashing takes the other. */
async function dumpAndDigest(
    client: Client,
    address: DatabaseAddress,
    { bundle, passphrase, clientDirectory }: ExportDatabaseSpec,
    run: StepRun,
): Promise<Dumped> {
    await client.query("SET idle_in_transaction_session_timeout = 0");
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { snapshot } = await queryOne(
        client,
        z.object({ snapshot: z.string() }),
        "SELECT pg_export_snapshot() AS snapshot",
    );
    const tables = await tablesToDump(client);
    const sequences = await readSequences(client);
    const failed = new AbortController();
    const signal = AbortSignal.any([run.signal, failed.signal]);
    const stopOther = <T>(work: Promise<T>): Promise<T> =>
        work.catch((error: unknown) => {
            failed.abort(error);
            throw error;
        });
    let [rows, hashed] = [0, 0];
    const place = { bundle, passphrase, runDirectory: run.directory, signal };
    const dumping = withPlainDump(
        { address, step, clientDirectory, snapshot, runDirectory: run.directory, signal },
        async (dump) => {
            const { stream, result } = observed(dump, (copy) =>
                inspectPlainDump(copy, { signal, onProgress: (now) => (rows = now.rows) }),
            );
            const artefact = await writeArtefact(databaseName, stream, "rows", place);
            return { artefact, content: await result };
        },
    );
    const digesting = tableLineDigests(address, tables, { jobs: 1, snapshot, signal, onTable: (n) => (hashed = n) });
    const [dumped, digests] = await run.progress.during(
        "dumping, compressing and encrypting the database, and hashing its rows",
        () => bothEnded(stopOther(dumping), stopOther(digesting)),
        () => `${rows} rows dumped, ${hashed} of ${tables.length} tables hashed`,
    );
    await client.query("COMMIT");
    return { ...dumped, digests, sequences };
}

/** As `Promise.all`, but when one has failed the other has ended, too: what it was writing is removed by then. */
async function bothEnded<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
    await Promise.allSettled([a, b]);
    return Promise.all([a, b]);
}
