/** The last look before a source is stopped: is anything there that the fence would only meet afterwards, and is the target there to take over? */
import type { FenceTarget, RunReference, SelfHostedSource } from "../../contract/index.ts";
import { withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { adminAddress, ownerAddress } from "../postgres/databases/targetAddress.ts";
import { ensureCluster, isClusterRunning, readClusterRecord } from "../postgres/server/managedCluster.ts";
import { readDatabaseFacts, refuseStandby } from "../postgres/server/serverFacts.ts";
import { MigrationError, throwAll } from "../run/errors.ts";
import {
    exemptRoles,
    heldListeners,
    missingRights,
    preparedTransactions,
    sessionObstacles,
    standby,
    unreadable,
    type Obstacle,
} from "./obstacles.ts";
import { unnamedHomeserver } from "./unnamedHomeserver.ts";

/** A look by a person, a scrape by an exporter is over by then. */
const sessionSeconds = 5;
/** A server that has just been started answers within this time. */
const answerSeconds = 20;

/**
 * Refuses a source that could not be fenced. Changes nothing. What it may be wrong about (whose sessions cannot be told) does not stop it:
 * the fence waits for those to end, and starts the source again where they do not.
 *
 * @throws MigrationError SM-E0558, SM-E0560, SM-E0720 to SM-E0726, all that were found at once
 */
export async function refuseObstacles(
    source: SelfHostedSource,
    address: DatabaseAddress,
    signal: AbortSignal,
): Promise<void> {
    const obstacles = await withClient(address, { step: "fence", readOnly: true, signal }, async (client) => {
        const found: Obstacle[] = [];
        for (const look of [standby, missingRights, unreadable, exemptRoles, preparedTransactions])
            found.push(...(await look(client)));
        return [
            ...found,
            ...(await unnamedHomeserver(source)),
            ...(await heldListeners(source)),
            ...(await sessionObstacles(client, source, { seconds: sessionSeconds, signal })),
        ];
    });
    throwObstacles(obstacles, `the source's database ${address.name} at ${address.host}:${address.port}`);
}

/** @throws MigrationError of each that would keep the source from being fenced, all at once */
export function throwObstacles(obstacles: readonly Obstacle[], where: string): void {
    throwAll(
        obstacles
            .filter(({ code }) => code.startsWith("SM-E"))
            .map(
                ({ code, found, fix }) =>
                    new MigrationError(code, {
                        where,
                        found,
                        expected: "a source that can be fenced as soon as it is stopped",
                        ...(fix === undefined ? {} : { fix }),
                        changed: "nothing: the source was not stopped",
                    }),
            ),
    );
}

/**
 * Has the target's database answer both roles that the next steps work as; a server of our own that does not run, as after a reboot, is started.
 *
 * @throws MigrationError SM-E1102, SM-E1004, SM-E0516, SM-E0806, those of {@link ensureCluster}, and SM-E0708 for a server that another run
 *     has taken over
 */
export async function readyTarget(
    { database, serverDirectory }: FenceTarget,
    run: RunReference,
    serverName: string,
    signal: AbortSignal,
): Promise<void> {
    if (serverDirectory !== undefined && !(await isClusterRunning(serverDirectory))) {
        const record = await readClusterRecord(serverDirectory);
        if (record?.run !== run.id)
            throw new MigrationError("SM-E0708", {
                where: serverDirectory,
                found: record === undefined ? "no server of ours" : `the server of run ${record.run}`,
                expected: `the server that run ${run.id} has made`,
                changed: "nothing: the source was not stopped",
            });
        await ensureCluster(
            { directory: serverDirectory, port: database.port, programs: database.clientDirectory },
            run.id,
            serverName,
        );
    }
    const options = { step: "fence", patienceSeconds: answerSeconds, signal };
    const facts = await withClient(await adminAddress(database), options, readDatabaseFacts);
    refuseStandby(facts, `${database.host}:${database.port}`);
    await withClient(await ownerAddress(database, database.name), options, (client) => client.query("SELECT"));
}
