/** Loads the database of a bundle into a new database beside the one in use, as Synapse's own role, and looks at what came out of it. */
import { join } from "node:path";
import { z } from "zod";
import { databaseChecks } from "../../engine/assess/databaseChecks.ts";
import { missingKeys } from "../../engine/assess/keyChecks.ts";
import { foreignUsers, newestEvents } from "../../engine/assess/identityChecks.ts";
import { refuseErrors } from "../../engine/assess/conclusion.ts";
import { refuseOtherInputs } from "../../engine/runIdentity/seenInputs.ts";
import { registerUnlocking } from "../../engine/bundle/input/unlocking.ts";
import { importContract, type Finding } from "../../contract/index.ts";
import { fillFromDump } from "../../engine/import/fillFromDump.ts";
import { fillFromSqlite } from "../../engine/import/fillFromSqlite.ts";
import type { ImportSpec } from "../../engine/import/filled.ts";
import { readDefinitions } from "../../engine/postgres/catalogue/catalogue.ts";
import { queryOne, withClient, type Client, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { inspectDatabase } from "../../engine/postgres/databases/databaseState.ts";
import { writeImportManifest } from "../../engine/postgres/compare/importManifest.ts";
import { dropIncoming, emptyOneTimeKeys, makeIncoming } from "../../engine/postgres/databases/incomingDatabase.ts";
import { advanceMarker, createMarker, refuseCommitted } from "../../engine/postgres/databases/marker.ts";
import { readSequences } from "../../engine/postgres/sequences/sequences.ts";
import { readDatabaseFacts, refuseStandby } from "../../engine/postgres/server/serverFacts.ts";
import { loaderOf } from "../../engine/postgres/databases/loader.ts";
import { adminAddress, checkedName, incomingName } from "../../engine/postgres/databases/targetAddress.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { isSqlite } from "../../engine/sqlite/openSqlite.ts";
import { installedSynapse } from "../../engine/synapse/targetVersion.ts";

const manifestName = "import-manifest.json";

type ImportResult = z.infer<typeof importContract.result>;

export const importDump = defineStep(
    importContract,
    async (spec, run) => {
        registerUnlocking(spec);
        const { database, source } = spec;
        const began = performance.now();
        const incoming = incomingName(checkedName(database.name), run.id);
        const maintenance = await adminAddress(database);
        const admin = { ...maintenance, name: incoming };
        const options = { step: "import", signal: run.signal };
        await refuseUsedTarget(maintenance, spec, run);
        await refuseOtherInputs(run.directory, source.database);
        const { passphrase, secretKey } = spec;
        const opening = { passphrase, secretKey, workDirectory: run.directory };
        const fill = (await isSqlite(source.database, opening)) ? fillFromSqlite : fillFromDump;
        const loader = await loaderOf(database, incoming, options);
        const { address, role } = loader;
        await makeIncoming(maintenance, incoming, role, run.id, options);
        await withClient(admin, options, (client) => createMarker(client, run.id, source.serverName, "restoring"));
        const filled = await fill(spec, address, run);
        const looked = await withClient(address, { ...options, statementSeconds: 0 }, async (client) => {
            const findings = [...filled.findings, ...(await look(client, spec))];
            const oneTimeKeys: ImportResult["oneTimeKeys"] = source.stoppedBeforeExport === true ? "kept" : "emptied";
            if (oneTimeKeys === "emptied") await emptyOneTimeKeys(client);
            const { newest } = await queryOne(
                client,
                z.object({ newest: z.coerce.number().nullable() }),
                "SELECT max(received_ts)::text AS newest FROM public.events",
            );
            return {
                findings,
                oneTimeKeys,
                newest,
                sequences: filled.sequences ?? (await readSequences(client)),
                definitions: await readDefinitions(client),
            };
        });
        const { findings, oneTimeKeys, newest, sequences, definitions } = looked;
        for (const { id, evidence } of findings) run.progress.say(`${id} ${evidence}`);
        const { input, dump, tables, declared } = filled;
        const lossWindowSeconds = newest === null ? undefined : Math.max(0, Math.round((Date.now() - newest) / 1000));
        const rows = tables.reduce((sum, table) => sum + table.rows, 0);
        const manifest = {
            format: "import-1" as const,
            run: run.id,
            serverName: source.serverName,
            finishedAt: new Date().toISOString(),
            ...{ input, dump, tables },
            sequences: [...sequences],
            definitions,
            ...(declared === undefined ? {} : { declared }),
        };
        const manifestFile = join(run.directory, manifestName);
        const manifestDigest = await writeImportManifest(manifestFile, manifest);
        const seconds = Math.round(performance.now() - began) / 1000;
        await run.evidence({
            ...{ incoming, findings, oneTimeKeys, lossWindowSeconds, seconds, manifestDigest, input, dump, rows },
            ...filled.evidence,
            tables: tables.map((table) => ({ ...table, columns: undefined })),
        });
        refuseErrors(findings, `the database that was loaded from ${source.database.join(", ")}`);
        await loader.handOver();
        await withClient(admin, options, (client) => advanceMarker(client, run.id, ["restoring"], "restored"));
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

/** What rules the target out before the dump is read. Unlike `refuseUnsuitableTarget`, it knows of no source server to compare it with. */
async function refuseUsedTarget(maintenance: DatabaseAddress, { database }: ImportSpec, run: StepRun): Promise<void> {
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

/** What the assessment asks of a source that runs can only be asked of a bundle now. */
async function look(client: Client, spec: ImportSpec): Promise<Finding[]> {
    const { serverName, oldSigningKeys = {} } = spec.source;
    const targetSynapse = await installedSynapse(spec.targetPython);
    const findings: Finding[] = [];
    for (const { run } of databaseChecks) {
        const found = await run({ client, targetSynapse, foreignCode: spec.foreignCode ?? [] });
        if (found !== "not-run") findings.push(...found);
    }
    const keys = await missingKeys(client, spec.targetPython);
    if (keys !== "not-run") findings.push(...keys);
    // Without the tables of a homeserver there are no users or events to check.
    if (findings.some(({ id }) => id === "SM-E0508")) return findings;
    const old = Object.fromEntries(Object.entries(oldSigningKeys).map(([id, { key }]) => [id, key]));
    const identity = { serverName, targetPython: spec.targetPython, verifyKeys: { ...old, ...spec.verifyKeys } };
    return [...findings, ...(await foreignUsers(client, serverName)), ...(await newestEvents(client, identity))];
}
