/** Dumps the source's database into the bundle, and compares the dump with the database in the same snapshot. */
import { availableParallelism } from "node:os";
import { z } from "zod";
import { removeArtefact, requireOwnBundle, takeBackArtefact } from "../../engine/bundle/write/bundleDirectory.ts";
import {
    keepSection,
    type DatabaseSection,
    type DirectoryDatabase,
    type PlainDatabase,
} from "../../engine/bundle/write/bundleManifest.ts";
import { databaseDirectory, databaseName } from "../../engine/bundle/write/bundleNames.ts";
import { writeArtefact } from "../../engine/bundle/write/artefact.ts";
import { writeDirectoryDump } from "../../engine/bundle/dump/directoryDump/write.ts";
import { compareDumpedSequences, compareDumpedTables, tablesToDump } from "../../engine/bundle/dump/dumpedTables.ts";
import { observed } from "../../engine/bundle/write/observed.ts";
import { withPlainDump } from "../../engine/bundle/dump/plainDumpStream.ts";
import { exportDatabaseContract } from "../../contract/index.ts";
import { programVersion, refuseOldProgram } from "../../engine/postgres/server/clientPrograms.ts";
import {
    describeAddress,
    queryOne,
    withClient,
    type Client,
    type DatabaseAddress,
} from "../../engine/postgres/connection.ts";
import { inspectPlainDump } from "../../engine/postgres/plainDump/inspect.ts";
import { tableLineDigests, type DigestedTable, type LineDigest } from "../../engine/postgres/plainDump/lineDigest.ts";
import { readSequences, type Sequence } from "../../engine/postgres/sequences/sequences.ts";
import {
    readDatabaseFacts,
    readSchemaVersion,
    refuseOldServer,
    refuseWrongEncoding,
} from "../../engine/postgres/server/serverFacts.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { Together } from "../../engine/run/together.ts";

type ExportDatabaseSpec = z.infer<typeof exportDatabaseContract.spec>;

const step = "export-database";
const artefactsOfBoth = [databaseName, databaseDirectory];
/** Of pg_dump, of compressing and encrypting: more than this many keep this process busy with what it reads along. */
const mostJobs = 8;

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
            const place = { address, jobs: Math.max(2, Math.min(mostJobs, availableParallelism())) };
            const versions = { serverVersion: facts.version, programVersion: program.text };
            const { dumped, digests, sequences } = await dumpAndDigest(client, { ...place, versions }, spec, run);
            const problems = [
                ...compareDumpedTables(dumped, digests),
                ...compareDumpedSequences(dumped, sequences, spec.fenceToken !== undefined),
            ];
            if (problems.length > 0) {
                for (const name of artefactsOfBoth) await removeArtefact(spec.bundle.directory, name);
                throw new MigrationError("SM-E0912", {
                    where,
                    found: problems.slice(0, 5).join("\n"),
                    expected: "a dump that brings every row of the snapshot, and no other",
                });
            }
            const seconds = (performance.now() - began) / 1000;
            const leftOut = ["owners and privileges: the receiver has other roles"];
            const section: DatabaseSection = { ...dumped, synapse, leftOut };
            const artefacts = section.format === "plain" ? [section.artefact] : section.artefacts;
            await run.evidence({ ...section, tables: comparedTables(section, digests), seconds });
            const rows = section.tables.reduce((sum, table) => sum + table.rows, 0);
            const kept = await keepSection("database", section, artefacts, seconds, run.directory);
            return { ...kept, tables: section.tables.length, rows };
        });
    },
    async ({ bundle }, run) => {
        for (const name of artefactsOfBoth) await takeBackArtefact(bundle.directory, name, run.directory);
    },
);

/** As the report shows tables: in the database, and in the dump. */
function comparedTables({ tables }: Pick<DatabaseSection, "tables">, digests: readonly LineDigest[]): object[] {
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

/** What the dump itself tells. */
type Dumped = Omit<PlainDatabase, "synapse" | "leftOut"> | Omit<DirectoryDatabase, "synapse" | "leftOut">;

interface DumpPlace {
    readonly address: DatabaseAddress;
    readonly jobs: number;
    readonly versions: { readonly serverVersion: string; readonly programVersion: string };
}

interface Snapshot extends DumpPlace {
    /** As `pg_export_snapshot()` gave it. */
    readonly snapshot: string;
    readonly tables: readonly DigestedTable[];
    readonly signal: AbortSignal;
    readonly onRows: (rows: number) => void;
}

/** Both read the same snapshot at the same time. */
async function dumpAndDigest(
    client: Client,
    place: DumpPlace,
    spec: ExportDatabaseSpec,
    run: StepRun,
): Promise<{ dumped: Dumped; digests: readonly LineDigest[]; sequences: readonly Sequence[] }> {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const { snapshot } = await queryOne(
        client,
        z.object({ snapshot: z.string() }),
        "SELECT pg_export_snapshot() AS snapshot",
    );
    const tables = await tablesToDump(client);
    const sequences = await readSequences(client);
    const together = new Together(run.signal);
    const { signal } = together;
    let [rows, hashed] = [0, 0];
    const of = { ...place, snapshot, tables, signal, onRows: (now: number) => (rows = now) };
    const dumping = (spec.format === "directory" ? dumpDirectory : dumpPlain)(of, spec, run);
    const digesting = tableLineDigests(place.address, tables, {
        // Compressing a plain dump takes one processor, so hashing takes the other.
        jobs: spec.format === "directory" ? place.jobs : 1,
        ...{ snapshot, signal, onTable: (count: number) => (hashed = count) },
    });
    const [dumped, digests] = await run.progress.during(
        "dumping, compressing and encrypting the database, and hashing its rows",
        () => together.all(dumping, digesting),
        () => `${rows} rows dumped, ${hashed} of ${tables.length} tables hashed`,
    );
    await client.query("COMMIT");
    return { dumped, digests, sequences };
}

async function dumpPlain(of: Snapshot, spec: ExportDatabaseSpec, run: StepRun): Promise<Dumped> {
    const { address, snapshot, signal, onRows } = of;
    const { bundle, passphrase, clientDirectory } = spec;
    const place = { bundle, passphrase, runDirectory: run.directory, signal };
    return withPlainDump(
        { address, step, clientDirectory, snapshot, runDirectory: run.directory, signal },
        async (dump) => {
            const { stream, result } = observed(dump, (copy) =>
                inspectPlainDump(copy, { signal, onProgress: (now) => onRows(now.rows) }),
            );
            const artefact = await writeArtefact(databaseName, stream, "rows", place);
            const { bytes, sha256, serverVersion, programVersion, tables, sequences } = await result;
            return {
                format: "plain",
                artefact,
                dump: { bytes, sha256, serverVersion, programVersion },
                tables: tables.map(({ schema, name, rows, bytes, digest }) => ({ schema, name, rows, bytes, digest })),
                sequences: sequences.map(({ schema, name, lastValue, isCalled }) => ({
                    ...{ schema, name, lastValue, isCalled },
                })),
            };
        },
    );
}

async function dumpDirectory(of: Snapshot, spec: ExportDatabaseSpec, run: StepRun): Promise<Dumped> {
    const { address, snapshot, tables, jobs, signal, versions, onRows } = of;
    const { bundle, passphrase, clientDirectory } = spec;
    const { artefacts, ...dumped } = await writeDirectoryDump({
        ...{ address, step, clientDirectory, snapshot, tables, jobs },
        place: { bundle, passphrase, runDirectory: run.directory, signal },
        onProgress: ({ rows }) => onRows(rows),
    });
    const bytes = dumped.members.reduce((sum, member) => sum + member.bytes, 0);
    return { format: "directory", artefacts: [...artefacts], ...dumped, dump: { bytes, ...versions } };
}
