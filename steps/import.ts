/** Loads the dump of a bundle into a new database beside the one in use, as Synapse's own role, and looks at what came out of it. */
import { join } from "node:path";
import { z } from "zod";
import { databaseChecks } from "./assess/databaseChecks.ts";
import { foreignUsers, newestEvents } from "./assess/identityChecks.ts";
import { refuseErrors } from "./assess/conclusion.ts";
import { openDump } from "./bundle/openDump.ts";
import { importContract, type Finding } from "./contract.ts";
import { readDefinitions } from "./postgres/catalogue.ts";
import { oneTimeKeysTable } from "./postgres/compareDatabase.ts";
import { queryOne, quotedName, withClient, type Client, type DatabaseAddress } from "./postgres/connection.ts";
import { inspectDatabase } from "./postgres/databaseState.ts";
import { writeImportManifest } from "./postgres/importManifest.ts";
import { dropIncoming, makeIncoming } from "./postgres/incomingDatabase.ts";
import { advanceMarker, createMarker, refuseCommitted } from "./postgres/marker.ts";
import { loadPlainDump, type PlainDumpContent } from "./postgres/plainDump/load.ts";
import { readSequences } from "./postgres/sequences.ts";
import { readDatabaseFacts, refuseStandby } from "./postgres/serverFacts.ts";
import { adminAddress, checkedName, incomingName, ownerAddress } from "./postgres/targetAddress.ts";
import { MigrationError } from "./run/errors.ts";
import { registerSecret } from "./run/redaction.ts";
import { defineStep, type StepRun } from "./run/step.ts";
import { installedSynapse } from "./synapse/targetVersion.ts";

const manifestName = "import-manifest.json";

type ImportSpec = z.infer<typeof importContract.spec>;

export const importDump = defineStep(
    importContract,
    async (spec, run) => {
        registerSecret(spec.passphrase ?? "");
        const { database, source } = spec;
        const began = performance.now();
        const incoming = incomingName(checkedName(database.name), run.id);
        const maintenance = await adminAddress(database);
        const owner = await ownerAddress(database, incoming);
        const options = { step: "import", signal: run.signal };
        await refuseUnsuitableServer(maintenance, spec, run);
        await makeIncoming(maintenance, incoming, database.owner, run.id, options);
        await withClient(owner, options, (client) => createMarker(client, run.id, source.serverName, "restoring"));
        const { content, input } = await load(spec, owner, run);
        refuseNewerDump(content, await withClient(maintenance, options, readDatabaseFacts), source.database.join(", "));
        const looked = await withClient(owner, { ...options, statementSeconds: 0 }, async (client) => {
            const findings = await look(client, spec);
            const oneTimeKeys = source.stoppedBeforeExport === true ? "kept" : "emptied";
            // Keys that the old server has handed out since the dump would be handed out again, and messages could not be read.
            if (oneTimeKeys === "emptied")
                await client.query(`TRUNCATE ${quotedName(oneTimeKeysTable.schema, oneTimeKeysTable.name)}`);
            const { newest } = await queryOne(
                client,
                z.object({ newest: z.coerce.number().nullable() }),
                "SELECT max(received_ts)::text AS newest FROM events",
            );
            return {
                findings,
                oneTimeKeys: oneTimeKeys as "kept" | "emptied",
                newest,
                sequences: await readSequences(client),
                definitions: await readDefinitions(client),
            };
        });
        const { findings, oneTimeKeys, newest, sequences, definitions } = looked;
        for (const { id, evidence } of findings) run.progress.say(`${id} ${evidence}`);
        const { tables, leftOut, owners, statements, ...dump } = content;
        const lossWindowSeconds = newest === null ? undefined : Math.max(0, Math.round((Date.now() - newest) / 1000));
        const rows = tables.reduce((sum, table) => sum + table.rows, 0);
        const manifest = {
            format: "import-1" as const,
            run: run.id,
            serverName: source.serverName,
            finishedAt: new Date().toISOString(),
            input,
            dump: {
                serverVersion: dump.serverVersion,
                programVersion: dump.programVersion,
                bytes: dump.bytes,
                sha256: dump.sha256,
            },
            tables: tables.map(({ columns, ...table }) => ({ ...table, columns: [...columns] })),
            sequences,
            definitions,
        };
        const manifestFile = join(run.directory, manifestName);
        const manifestDigest = await writeImportManifest(manifestFile, manifest);
        const seconds = Math.round(performance.now() - began) / 1000;
        await run.evidence({
            ...{ incoming, findings, oneTimeKeys, lossWindowSeconds, seconds, leftOut, owners, statements },
            ...{ manifestDigest, input, dump: manifest.dump, rows },
            tables: tables.map(({ columns: _, ...table }) => table),
        });
        refuseErrors(findings, `the database that was loaded from ${source.database.join(", ")}`);
        await withClient(owner, options, (client) => advanceMarker(client, run.id, ["restoring"], "restored"));
        return {
            incoming,
            manifestFile,
            manifestDigest,
            tables: tables.length,
            rows,
            oneTimeKeys,
            ...(lossWindowSeconds === undefined ? {} : { lossWindowSeconds }),
            seconds,
        };
    },
    async (spec, run) => {
        const incoming = incomingName(spec.database.name, run.id);
        const said = await dropIncoming(await adminAddress(spec.database), incoming, run.id, { step: "import" });
        run.progress.say(said);
    },
);

/** Everything that rules the target out, before anything is made. */
async function refuseUnsuitableServer(
    maintenance: DatabaseAddress,
    { database }: ImportSpec,
    run: StepRun,
): Promise<void> {
    const where = `database ${database.name} at ${database.host}:${database.port}`;
    const options = { step: "import", signal: run.signal };
    refuseStandby(await withClient(maintenance, options, readDatabaseFacts), where);
    const { marker } = await inspectDatabase(maintenance, database.name, options);
    refuseCommitted(marker, where);
    if (marker?.run === run.id && marker.state !== "staged")
        throw new MigrationError("SM-E0708", {
            where,
            found: `what this run has imported already, state ${marker.state}`,
            expected: "a run that has not imported yet",
            fix: "undo the swap first by declaring phase `stage`, or give the run a new id (config `run`)",
        });
}

/** The bytes count only once every program they went through has ended well: what was loaded before that is dropped with its database. */
async function load(spec: ImportSpec, address: DatabaseAddress, run: StepRun) {
    const { source, passphrase, database } = spec;
    const opened = await openDump(source.database, {
        ...(passphrase === undefined ? {} : { passphrase }),
        workDirectory: run.directory,
        clientDirectory: database.clientDirectory,
        signal: run.signal,
        progress: run.progress,
    });
    try {
        let state = "opening the dump";
        const content = await run.progress.during(
            "loading the dump",
            () =>
                loadPlainDump({
                    dump: opened.stream,
                    address,
                    jobs: spec.jobs,
                    signal: run.signal,
                    onProgress: ({ bytes, tables, rows, phase }) =>
                        (state = `${phase}: ${bytes} bytes, ${tables} tables, ${rows} rows`),
                }),
            () => state,
        );
        return { content, input: await opened.finished };
    } finally {
        await opened.close();
    }
}

/** @throws MigrationError SM-E0503 */
function refuseNewerDump(content: PlainDumpContent, server: { versionNumber: number; version: string }, where: string) {
    const major = Number.parseInt(content.serverVersion, 10);
    if (Number.isNaN(major) || Math.floor(server.versionNumber / 10000) >= major) return;
    throw new MigrationError("SM-E0503", {
        where,
        found: `a dump of PostgreSQL ${content.serverVersion}; the target's server is ${server.version}`,
        expected: `PostgreSQL ${major} or newer on the target`,
    });
}

/** What the assessment asks of a source that runs can only be asked of a bundle now. */
async function look(client: Client, spec: ImportSpec): Promise<Finding[]> {
    const { serverName, oldSigningKeys = {} } = spec.source;
    const targetSynapse = await installedSynapse(spec.targetPython);
    const findings: Finding[] = [];
    for (const { run } of databaseChecks) {
        const found = await run({ client, targetSynapse });
        if (found !== "not-run") findings.push(...found);
    }
    // Without the tables of a homeserver there is nobody to ask about.
    if (findings.some(({ id }) => id === "SM-E0508")) return findings;
    const old = Object.fromEntries(Object.entries(oldSigningKeys).map(([id, { key }]) => [id, key]));
    const identity = { serverName, targetPython: spec.targetPython, verifyKeys: { ...old, ...spec.verifyKeys } };
    return [...findings, ...(await foreignUsers(client, serverName)), ...(await newestEvents(client, identity))];
}
