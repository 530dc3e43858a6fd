/** Takes up what a killed attempt has copied: only when it is this run's, of the same source, and nobody works on it any more. */
import { query, withClient, type ConnectionOptions, type DatabaseAddress } from "../connection.ts";
import { inspectDatabase } from "../databases/databaseState.ts";
import { refuseSessions } from "../server/sessions.ts";
import { hasCopy } from "./doneTasks.ts";
import { z } from "zod";
import { until } from "../../run/until.ts";

/** Statements that are told to end do so within this time. */
const endSeconds = 30;

/**
 * Ends the sessions that the killed attempt has left on the target: an index that is still being built would be built twice.
 *
 * @param target  the incoming database as its owner, whose tables say what was copied: who has more rights does not read them
 * @param state  of the source; see `CopyResume`
 * @returns whether there is a copy to continue
 * @throws MigrationError SM-E0709 when sessions do not end
 */
export async function continueCopy(
    maintenance: DatabaseAddress,
    target: DatabaseAddress,
    run: string,
    state: string,
    options: ConnectionOptions,
): Promise<boolean> {
    const incoming = target.name;
    const found = await inspectDatabase(maintenance, incoming, options);
    if (found.marker?.run !== run || !["restoring", "restored"].includes(found.marker.state)) return false;
    await withClient(maintenance, options, async (client) => {
        const others = (): Promise<{ ended: boolean }[]> =>
            query(
                client,
                z.object({ ended: z.boolean() }),
                "SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()",
                [incoming],
            );
        await until(async () => (await others()).length === 0 || undefined, {
            seconds: endSeconds,
            everyMilliseconds: 50,
            signal: options.signal,
        });
        await refuseSessions(client, [incoming]);
    });
    return withClient(target, options, (client) => hasCopy(client, state));
}
