/** Takes over the last change of the fenced source and ends the following: the incoming database is complete then. */
import { join } from "node:path";
import { removePrivateFile } from "../../engine/run/atomicFile.ts";
import { catchUpContract } from "../../contract/replicate.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { advanceMarker } from "../../engine/postgres/databases/marker.ts";
import { catchUp as catchUpDatabase, forgetCatchUp } from "../../engine/postgres/replication/catchUp.ts";
import { writeReplicaManifest } from "../../engine/postgres/replication/replicaManifest.ts";
import { replicationOf } from "../../engine/postgres/replication/stepReplication.ts";
import { defineStep } from "../../engine/run/step.ts";

const step = "catch-up";
const defaultJobs = 2;
const manifestFile = (runDirectory: string): string => join(runDirectory, "replication-manifest.json");

export const catchUp = defineStep(
    catchUpContract,
    async (spec, run) => {
        const replication = await replicationOf(spec, step, run);
        const { incoming, target } = replication;
        await refuseUnlessStillFenced(spec.source, spec.fenceToken, run.reference);
        const { digest, verify, jobs = defaultJobs } = spec;
        const { bulk, parts, left, ...proof } = await catchUpDatabase(replication, { digest, verify, jobs });
        const file = manifestFile(run.directory);
        const { definitions, tables: copied, copiedAt } = bulk;
        const manifestDigest = await writeReplicaManifest(file, {
            ...{ run: run.id, serverName: spec.source.serverName, verify, copiedAt, copied, definitions },
            ...proof,
        });
        await withClient(target, { step, signal: run.signal }, (client) =>
            advanceMarker(client, run.id, ["restoring"], "restored"),
        );
        const { position, checks } = proof;
        await run.evidence({ incoming, position, checks, parts, left, sequences: proof.sequences.length });
        return {
            ...{ incoming, manifestFile: file, manifestDigest, oneTimeKeys: "kept" as const },
            ...{ position, parts, checks, left: [...left] },
        };
    },
    async (spec, run) => {
        await forgetCatchUp(await replicationOf(spec, step, run));
        await removePrivateFile(manifestFile(run.directory));
    },
);
