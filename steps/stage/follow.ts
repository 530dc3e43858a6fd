/** Copies the source's database while its homeserver runs, and has the copy follow it until the cut-over. */
import type { z } from "zod";
import { followContract } from "../../contract/replicate.ts";
import { programVersion, refuseOldProgram } from "../../engine/postgres/server/clientPrograms.ts";
import { readDefinitions } from "../../engine/postgres/catalogue/catalogue.ts";
import { describeAddress, withClient } from "../../engine/postgres/connection.ts";
import { copyDatabase } from "../../engine/postgres/directCopy/copyDatabase.ts";
import { inspectDatabase } from "../../engine/postgres/databases/databaseState.ts";
import { manifestDatabase } from "../../engine/postgres/pgDump/dumpSnapshot.ts";
import { dropIncoming, makeIncoming } from "../../engine/postgres/databases/incomingDatabase.ts";
import { createMarker } from "../../engine/postgres/databases/marker.ts";
import { undoFollowing, refuseLeftovers } from "../../engine/postgres/replication/undoFollowing.ts";
import { follow as followDatabase, type CopyRows } from "../../engine/postgres/replication/follow.ts";
import type { Replication } from "../../engine/postgres/replication/sides.ts";
import { preflightSource } from "../../engine/postgres/replication/sourcePreflight.ts";
import {
    removeServerPassword,
    replicationOf,
    writeServerPassword,
} from "../../engine/postgres/replication/stepReplication.ts";
import { readDatabaseFacts, refuseOldServer, refuseWrongEncoding } from "../../engine/postgres/server/serverFacts.ts";
import { adminAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { refuseUnsuitableTarget } from "../../engine/postgres/server/unsuitableTarget.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

const step = "follow";
const defaultJobs = 2;
type FollowSpec = z.infer<typeof followContract.spec>;

export const follow = defineStep(
    followContract,
    async (spec, run) => {
        const { database } = spec;
        const options = { step, signal: run.signal };
        const replication = await replicationOf(spec, step, run, spec.serverDirectory);
        const { incoming, passwordFile } = replication;
        const maintenance = await adminAddress(database);
        await refuseUnsuitableSides(spec, replication, run);
        // An attempt that was killed may have left a subscription, with which no database can be dropped.
        const found = await inspectDatabase(maintenance, incoming, options);
        refuseLeftovers(await undoFollowing(replication, found.state !== "absent"), "what an earlier attempt has left");
        await makeIncoming(maintenance, incoming, database.owner, run.id, options);
        try {
            await withClient(replication.target, options, (client) =>
                createMarker(client, run.id, spec.source.serverName, "restoring"),
            );
            if (passwordFile !== undefined) await writeServerPassword(passwordFile, replication.source);
            const followed = await followDatabase(replication, {
                copy: copyWith(spec),
                jobs: spec.jobs ?? defaultJobs,
            });
            const { name, digest, tables, rows, bytes, seconds, identities, lag, findings } = followed;
            await run.evidence({ incoming, ...followed });
            return {
                ...{ incoming, slot: name, publication: name, digest, tables, rows, bytes, seconds, identities },
                ...{ lagSeconds: lag.seconds, lagBytes: lag.bytes, findings: [...findings] },
            };
        } catch (error) {
            if (passwordFile !== undefined) await removeServerPassword(passwordFile);
            // Also when the step is being stopped, and without hiding why.
            const said = await dropIncoming(maintenance, incoming, run.id, { step }).catch(String);
            run.progress.note(said);
            throw error;
        }
    },
    async (spec, run) => {
        const replication = await replicationOf(spec, step, run, spec.serverDirectory);
        const { incoming, passwordFile } = replication;
        const maintenance = await adminAddress(spec.database);
        const left: string[] = [];
        // What cannot be reached is left, and named; all else is taken back first.
        const found = await inspectDatabase(maintenance, incoming, { step }).catch((error: unknown) => {
            left.push(
                `subscription and database ${incoming} (${error instanceof Error ? error.message : String(error)})`,
            );
        });
        left.push(...(await undoFollowing(replication, found !== undefined && found.state !== "absent")));
        if (found !== undefined && left.length === 0)
            run.progress.say(await dropIncoming(maintenance, incoming, run.id, { step }));
        if (passwordFile !== undefined) await removeServerPassword(passwordFile);
        refuseLeftovers(left, `the replication of run ${run.id}`);
    },
);

/** Everything that rules source or target out, before anything is made. */
async function refuseUnsuitableSides(spec: FollowSpec, replication: Replication, run: StepRun): Promise<void> {
    const { database } = spec;
    const where = describeAddress(replication.source);
    await preflightSource(replication);
    const origin = await withClient(
        replication.source,
        { step, readOnly: true, signal: run.signal },
        async (client) => {
            const facts = await readDatabaseFacts(client);
            refuseOldServer(facts, where);
            refuseWrongEncoding(facts, where);
            for (const program of ["pg_dump", "pg_restore"])
                refuseOldProgram(program, await programVersion(database.clientDirectory, program), facts.versionNumber);
            return { database: manifestDatabase(facts), definitions: await readDefinitions(client) };
        },
    );
    const maintenance = await adminAddress(database);
    await refuseUnsuitableTarget(maintenance, database, origin, run.id, { step, signal: run.signal });
}

const copyWith =
    ({ database: { clientDirectory }, bytesPerSecond }: FollowSpec): CopyRows =>
    (copy, run) =>
        copyDatabase(
            {
                ...{ ...copy, clientDirectory, standsStill: false },
                ...(bytesPerSecond === undefined ? {} : { bytesPerSecond }),
            },
            run,
        );
