/** Looks at the database server of an installed homeserver: what the swap will need there is tried while both homeservers serve. */
import { installedDatabaseContract, type DatabaseAdmin, type TargetDatabase } from "../../contract/index.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { describeObjects, inspectDatabase } from "../../engine/postgres/databases/databaseState.ts";
import { refuseCommitted } from "../../engine/postgres/databases/marker.ts";
import { adminOf, decidedAdmin } from "../../engine/postgres/databases/installedAdmin.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { adminAddress, checkedName, incomingName, scratchName } from "../../engine/postgres/databases/targetAddress.ts";
import { refuseOccupied, tryOn } from "../../engine/postgres/directCopy/fitForTarget.ts";
import { removeTrial } from "../../engine/postgres/directCopy/tryDefinitions.ts";
import { readDatabaseFacts, refuseOldServer, refuseStandby } from "../../engine/postgres/server/serverFacts.ts";
import { refuseHarmfulSettings } from "../../engine/postgres/server/sessionDefaults.ts";
import { makeTargetDirectory, releaseTargetDirectory } from "../../engine/machines/targetDirectory.ts";
import { defineStep } from "../../engine/run/step.ts";

const step = "installed-database";

/** The role and the database are its installer's: nothing of them is made here, and nothing is dropped. */
export const installedDatabase = defineStep(
    installedDatabaseContract,
    async (spec, run) => {
        const { deployment, replace, source } = spec;
        const say = run.progress.say.bind(run.progress);
        await makeTargetDirectory(spec.directory, { say });
        const database = await targetOf(spec);
        const { name } = database;
        const where = `database ${name} at ${database.host}:${database.port} of ${deployment.serverName}`;
        checkedName(name);
        // The longest names that come of it are refused here, and not when the source is down.
        for (const long of [incomingName(name, run.id), scratchName(name, run.id)]) checkedName(long);
        const options = { step, patienceSeconds: 10, signal: run.signal };
        const maintenance = await adminAddress(database);
        const facts = await withClient(maintenance, options, readDatabaseFacts);
        refuseStandby(facts, where);
        refuseOldServer(facts, where);
        const found = await inspectDatabase(maintenance, name, options);
        refuseCommitted(found.marker, where);
        await refuseOccupied({ source, replace }, found, facts, where);
        await withClient({ ...maintenance, name }, options, (client) =>
            refuseHarmfulSettings(client, database.owner, where),
        );
        // What this run has filled already, it has tried.
        if (found.marker === undefined || found.marker.state === "staged") await tryOn(database, source, run);
        const admitted = database.admin === database.owner ? "Synapse's own role" : `role ${database.admin}`;
        await run.evidence({
            where,
            serverVersion: facts.version,
            found: found.state,
            objects: describeObjects(found),
            admitted,
        });
        return { database, serverVersion: facts.version };
    },
    async (spec, run) => {
        try {
            await removeTrial(await targetOf(spec), run);
        } catch (error) {
            run.progress.note(`whether a trial was left on its server was not seen: ${String(error)}`);
        }
        await releaseTargetDirectory(spec.directory);
    },
);

/** What the configuration there says, with what is needed here to work on it. */
async function targetOf({
    deployment,
    programs,
    ...said
}: {
    readonly deployment: Parameters<typeof sourceAddress>[0];
    readonly admin?: DatabaseAdmin | undefined;
    readonly programs: string;
}): Promise<TargetDatabase> {
    const owner = await sourceAddress(deployment);
    const admin = await decidedAdmin({ deployment, ...said });
    const administrator = await adminOf({ deployment, admin });
    return {
        ...{ host: owner.host, port: owner.port, name: owner.name, owner: owner.user, admin: administrator.user },
        clientDirectory: programs,
        installed: { deployment, admin },
    };
}
