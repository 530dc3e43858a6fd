/** Copies the source's database into a new one beside the one in use, as Synapse's own role, without files between them. */
import { join } from "node:path";
import type { z } from "zod";
import { removePrivateFile } from "../../engine/run/atomicFile.ts";
import { copyContract } from "../../contract/directCopy.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { readDefinitions } from "../../engine/postgres/catalogue/catalogue.ts";
import { programVersion, refuseOldProgram } from "../../engine/postgres/server/clientPrograms.ts";
import { describeAddress, withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { inExportedSnapshot } from "../../engine/postgres/exportedSnapshot.ts";
import { continueCopy } from "../../engine/postgres/directCopy/continueCopy.ts";
import { copyDatabase, type CopyContent } from "../../engine/postgres/directCopy/copyDatabase.ts";
import { affordableJobs, jobsByCores } from "../../engine/postgres/directCopy/jobs.ts";
import { refuseUncopied } from "../../engine/postgres/directCopy/source.ts";
import { manifestDatabase } from "../../engine/postgres/pgDump/dumpSnapshot.ts";
import { dropIncoming, emptyOneTimeKeys, makeIncoming } from "../../engine/postgres/databases/incomingDatabase.ts";
import { writeManifest, type Manifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { advanceMarker, createMarker } from "../../engine/postgres/databases/marker.ts";
import {
    readDatabaseFacts,
    readSchemaVersion,
    refuseOldServer,
    refuseWrongEncoding,
} from "../../engine/postgres/server/serverFacts.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { loaderOf } from "../../engine/postgres/databases/loader.ts";
import { adminAddress, checkedName, incomingName } from "../../engine/postgres/databases/targetAddress.ts";
import { refuseUnsuitableTarget } from "../../engine/postgres/server/unsuitableTarget.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

const step = "copy";
type CopySpec = z.infer<typeof copyContract.spec>;

export const copy = defineStep(
    copyContract,
    async (spec, run) => {
        const began = new Date();
        const session = { step, signal: run.signal };
        const source = await sourceAddress(spec.source);
        const incoming = incomingName(checkedName(spec.database.name), run.id);
        const maintenance = await adminAddress(spec.database);
        const admin = { ...maintenance, name: incoming };
        const origin = await suitableSource(source, spec, run);
        await refuseUnsuitableTarget(maintenance, spec.database, origin, run.id, session);
        const loader = await loaderOf(spec.database, incoming, session);
        const { address: target, role } = loader;
        // A source that has stood still since is the same one; of a running one, another snapshot is another state.
        const { fenceToken } = spec;
        if (fenceToken !== undefined) await refuseUnlessStillFenced(spec.source, fenceToken, run.reference);
        const resume = fenceToken === undefined ? undefined : { state: fenceToken };
        const continued =
            resume !== undefined && (await continueCopy(maintenance, target, run.id, resume.state, session));
        if (continued) run.progress.say(`continuing what an earlier attempt has copied into ${incoming}`);
        else {
            await makeIncoming(maintenance, incoming, role, run.id, session);
            await withClient(admin, session, (client) =>
                createMarker(client, run.id, spec.source.serverName, "restoring"),
            );
        }
        const jobs = await affordableJobs(spec.jobs ?? jobsByCores(source, target), source, target, session);
        const { clientDirectory } = spec.database;
        const { bytesPerSecond } = spec;
        const content = await withSnapshot(source, run, (snapshot) =>
            copyDatabase(
                {
                    ...{ source, target, admin, snapshot, clientDirectory, step, jobs },
                    standsStill: fenceToken !== undefined,
                    ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
                    ...(resume === undefined ? {} : { resume }),
                },
                run,
            ),
        );
        const oneTimeKeys = fenceToken === undefined ? "emptied" : "kept";
        const manifest = manifestOf(content, origin, spec, run, began);
        const manifestDigest = await writeManifest(manifestFile(run), manifest);
        await withClient(target, { ...session, statementSeconds: 0 }, async (client) => {
            if (oneTimeKeys === "emptied") await emptyOneTimeKeys(client);
        });
        await loader.handOver();
        await withClient(admin, session, (client) => advanceMarker(client, run.id, ["restoring"], "restored"));
        const { tables, sequences, bytes } = content;
        const rows = tables.reduce((sum, table) => sum + table.rows, 0);
        const { database, synapse, programVersion } = origin;
        await run.evidence({
            ...{ incoming, manifestDigest, database, synapse, programVersion, oneTimeKeys, jobs, continued },
            ...{ tables, sequences: sequences.length, rows, bytes, seconds: content.seconds },
        });
        return {
            ...{ incoming, manifestFile: manifestFile(run), manifestDigest, tables: tables.length, rows, bytes },
            ...{ oneTimeKeys, seconds: manifest.seconds },
        };
    },
    async (spec, run) => {
        const incoming = incomingName(spec.database.name, run.id);
        run.progress.say(await dropIncoming(await adminAddress(spec.database), incoming, run.id, { step }));
        await removePrivateFile(manifestFile(run));
    },
);

function manifestFile(run: StepRun): string {
    return join(run.directory, "copy-manifest.json");
}

/** The part of the manifest that is known before anything is copied. */
type Origin = Pick<Manifest, "database" | "synapse" | "definitions" | "programVersion">;

/** Everything that rules the source out, before anything is made. */
async function suitableSource(address: DatabaseAddress, spec: CopySpec, run: StepRun): Promise<Origin> {
    const where = describeAddress(address);
    const { clientDirectory } = spec.database;
    const program = await programVersion(clientDirectory, "pg_dump");
    const restoring = await programVersion(clientDirectory, "pg_restore");
    return withClient(address, { step, readOnly: true, signal: run.signal }, async (client) => {
        const facts = await readDatabaseFacts(client);
        refuseOldServer(facts, where);
        refuseWrongEncoding(facts, where);
        refuseOldProgram("pg_dump", program, facts.versionNumber);
        refuseOldProgram("pg_restore", restoring, facts.versionNumber);
        const synapse = await readSchemaVersion(client);
        await refuseUncopied(client, where);
        const definitions = await readDefinitions(client);
        return { database: manifestDatabase(facts), synapse, definitions, programVersion: program.text };
    });
}

/** Held open until all that was to be copied is copied. */
async function withSnapshot<T>(
    address: DatabaseAddress,
    run: StepRun,
    work: (snapshot: string) => Promise<T>,
): Promise<T> {
    const session = { step, readOnly: true, statementSeconds: 0, signal: run.signal };
    return withClient(address, session, (client) => inExportedSnapshot(client, work));
}

function manifestOf(content: CopyContent, origin: Origin, spec: CopySpec, run: StepRun, began: Date): Manifest {
    const finished = new Date();
    const { snapshot, tables, sequences, definitions } = content;
    return {
        format: 1,
        run: run.id,
        serverName: spec.source.serverName,
        fenced: spec.fenceToken !== undefined,
        startedAt: began.toISOString(),
        finishedAt: finished.toISOString(),
        seconds: (finished.getTime() - began.getTime()) / 1000,
        ...origin,
        ...{ snapshot, tables, sequences, definitions, compression: "none", files: [] },
    };
}
