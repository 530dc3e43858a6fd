/** Makes or finds the PostgreSQL server of the target, Synapse's role, and an empty database. */
import { dirname, join } from "node:path";
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { databaseContract } from "../../contract/stage.ts";
import type { PasswordDatabase, TargetDatabase } from "../../contract/targetDatabase.ts";
import { makeTargetDirectory, releaseTargetDirectory } from "../../engine/machines/targetDirectory.ts";
import { removePrivateFile } from "../../engine/run/atomicFile.ts";
import { shapeDirectory } from "../../engine/run/heldDirectory.ts";
import { query, withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { describeObjects, inspectDatabase } from "../../engine/postgres/databases/databaseState.ts";
import {
    clusterAdmin,
    clusterHost,
    clusterPaths,
    ensureCluster,
    readClusterRecord,
    removeCluster,
} from "../../engine/postgres/server/managedCluster.ts";
import { refuseOccupied, tryOn } from "../../engine/postgres/directCopy/fitForTarget.ts";
import { removeTrial } from "../../engine/postgres/directCopy/tryDefinitions.ts";
import { createMarker, describeMarker, refuseCommitted } from "../../engine/postgres/databases/marker.ts";
import { ensureOwnerRole, roleExists } from "../../engine/postgres/server/ownerRole.ts";
import { refuseHarmfulSettings } from "../../engine/postgres/server/sessionDefaults.ts";
import {
    createDatabaseStatement,
    readDatabaseFacts,
    refuseOldServer,
    refuseStandby,
} from "../../engine/postgres/server/serverFacts.ts";
import { adminAddress, checkedName, incomingName, scratchName } from "../../engine/postgres/databases/targetAddress.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

const ownerPasswordName = "owner-password";

export const database = defineStep(
    databaseContract,
    async (spec, run) => {
        checkedName(spec.name);
        // The longest names that come of it are refused here, and not when the source is down.
        incomingName(spec.name, run.id);
        if (spec.replace === true) scratchName(spec.name, run.id);
        const target = await targetOf(spec, run);
        const where = `database ${spec.name} at ${target.host}:${target.port}`;
        const options = { step: "database", patienceSeconds: 10, signal: run.signal };
        const maintenance = await adminAddress(target);
        const facts = await withClient(maintenance, options, readDatabaseFacts);
        refuseStandby(facts, where);
        refuseOldServer(facts, where);
        const found = await inspectDatabase(maintenance, spec.name, options);
        refuseCommitted(found.marker, where);
        await refuseOccupied(spec, found, facts, where);
        await run.recorded(
            "role-was-absent",
            async () => !(await withClient(maintenance, options, (client) => roleExists(client, spec.owner))),
        );
        const made = await run.recorded("database-was-absent", () => Promise.resolve(found.state === "absent"));
        await withClient(maintenance, { ...options, statementSeconds: 600 }, async (client) => {
            await ensureOwnerRole(client, maintenance, {
                role: spec.owner,
                passwordFile: target.ownerPasswordFile,
                managed: spec.server.kind === "managed",
            });
            // Of all databases: the one that is filled later is made anew.
            await refuseHarmfulSettings(client, spec.owner, where);
            if (found.state === "absent")
                await client.query(createDatabaseStatement(spec.name, spec.owner, facts.versionNumber));
        });
        // One that somebody else made, for us to use, stays theirs: without our marker it is never dropped.
        if (made || found.marker?.state === "staged") {
            const { serverName } = spec.source;
            await withClient({ ...maintenance, name: spec.name }, options, (client) =>
                createMarker(client, run.id, serverName, "staged"),
            );
        }
        // What this run has filled already, it has tried.
        if (found.marker === undefined || found.marker.state === "staged") await tryOn(target, spec.source, run);
        await run.evidence({ where, serverVersion: facts.version, made, found: found.state });
        return { database: target, serverVersion: facts.version, managed: spec.server.kind === "managed" };
    },
    async (spec, run) => {
        if (spec.server.kind === "managed") await undoManaged(spec, run);
        else await undoExisting(spec, run);
        await releaseTargetDirectory(dirname(spec.server.directory));
    },
);

type DatabaseSpec = Parameters<typeof database.act>[0];

/** Where the target's databases are; starts the server when it is ours. */
async function targetOf(spec: DatabaseSpec, run: StepRun): Promise<PasswordDatabase> {
    const { server, name, owner, user } = spec;
    const options = { user, say: run.progress.say.bind(run.progress) };
    if (server.kind === "existing") {
        await makeTargetDirectory(dirname(server.directory), options);
        await shapeDirectory(server.directory, { mode: 0o700 });
        return existingTarget(spec);
    }
    const { port } = await run.progress.during("starting the target's PostgreSQL server", () =>
        ensureCluster(server, run.id, spec.source.serverName, options),
    );
    const { ownerPassword, adminPassword } = clusterPaths(server.directory);
    return {
        ...{ host: clusterHost, port, name, owner, ownerPasswordFile: ownerPassword },
        ...{ admin: clusterAdmin, adminPasswordFile: adminPassword, clientDirectory: server.programs },
    };
}

function existingTarget({ server, name, owner }: DatabaseSpec): PasswordDatabase {
    if (server.kind !== "existing") throw new Error("not an existing server");
    const { host, port, admin, adminPasswordFile, programs, directory } = server;
    return {
        host,
        port,
        name,
        owner,
        ownerPasswordFile: join(directory, ownerPasswordName),
        admin,
        adminPasswordFile,
        clientDirectory: programs,
    };
}

async function undoManaged(spec: DatabaseSpec, run: StepRun): Promise<void> {
    const { server } = spec;
    if (server.kind !== "managed") return;
    const record = await readClusterRecord(server.directory);
    if (record?.run !== run.id) {
        if (record === undefined) run.progress.say("there is no server of ours");
        else run.progress.note(`the server belongs to run ${record.run} now: it stays`);
        return;
    }
    if (record.initialised) {
        const kept = await neededDatabases(await targetOf(spec, run), spec.run.disposable === true);
        if (kept.length > 0) {
            run.progress.note(`the server stays: ${kept.join(", ")}`);
            return;
        }
    }
    await run.progress.during("removing the target's PostgreSQL server", () => removeCluster(server));
}

/** Databases that must not go with the server: committed ones, and those that are not of a run. */
async function neededDatabases(target: TargetDatabase, disposable: boolean): Promise<string[]> {
    const maintenance = await adminAddress(target);
    const options = { step: "database", patienceSeconds: 10 };
    const names = await withClient(maintenance, options, (client) =>
        query(
            client,
            z.object({ name: z.string() }),
            "SELECT datname AS name FROM pg_database WHERE NOT datistemplate",
        ),
    );
    const kept: string[] = [];
    for (const { name } of names) {
        const { state, marker, ...found } = await inspectDatabase(maintenance, name, options);
        if (state !== "occupied") continue;
        if (marker === undefined) kept.push(`database ${name} has ${describeObjects({ state, ...found })}`);
        else if (marker.state === "committed" && !disposable)
            kept.push(`database ${name} has ${describeMarker(marker)}`);
    }
    return kept;
}

async function undoExisting(spec: DatabaseSpec, run: StepRun): Promise<void> {
    const target = existingTarget(spec);
    const maintenance = await adminAddress(target);
    const options = { step: "database" };
    await removeTrial(target, run);
    const made = await run.recorded("database-was-absent", () => Promise.resolve(false));
    const found = await inspectDatabase(maintenance, spec.name, options);
    const ours = found.marker === undefined ? made : found.marker.run === run.id && found.marker.state === "staged";
    if (found.state === "empty" && ours) {
        await withClient(maintenance, options, (client) =>
            client.query(`DROP DATABASE ${escapeIdentifier(spec.name)}`),
        );
        run.progress.say(`database ${spec.name} was dropped`);
    } else if (found.state !== "absent") {
        run.progress.note(`database ${spec.name} is not an empty one of this run: it stays`);
    }
    if (await run.recorded("role-was-absent", () => Promise.resolve(false)))
        await dropUnusedRole(maintenance, spec.owner, target.ownerPasswordFile, run);
}

async function dropUnusedRole(
    maintenance: DatabaseAddress,
    role: string,
    passwordFile: string,
    run: StepRun,
): Promise<void> {
    const used = await withClient(maintenance, { step: "database" }, async (client) => {
        const objects = await query(
            client,
            z.object({ count: z.number() }),
            "SELECT count(*)::int AS count FROM pg_shdepend d JOIN pg_roles r ON r.oid = d.refobjid WHERE r.rolname = $1 AND d.deptype = 'o'",
            [role],
        );
        if ((objects[0]?.count ?? 0) > 0) return true;
        await client.query(`DROP ROLE IF EXISTS ${escapeIdentifier(role)}`);
        return false;
    });
    if (used) run.progress.note(`role ${role} owns something: it stays`);
    else run.progress.say(`role ${role} was dropped`);
    if (!used) await removePrivateFile(passwordFile);
}
