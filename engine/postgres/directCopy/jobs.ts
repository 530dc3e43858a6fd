/** How many pairs of connections a copy is worth, and how many both servers have left. */
import { availableParallelism } from "node:os";
import { z } from "zod";
import { queryOne, withClient, type ConnectionOptions, type DatabaseAddress } from "../connection.ts";
import { isHere } from "../databaseAddress.ts";

/** Cores of a server that does not say how many it has. */
const remoteCores = 4;
/** Beyond that, one process of ours has enough to do. */
const mostJobs = 16;
/** A pair copies, another connection of the source hashes rows; the others hold the snapshot, read catalogues, dump definitions. */
const sourceConnections = { each: 2, besides: 5 };
const targetConnections = { each: 1, besides: 2 };

/** Cores of the smaller side: more connections would only wait for each other. */
export function jobsByCores(source: DatabaseAddress, target: DatabaseAddress): number {
    const cores = (address: DatabaseAddress): number => (isHere(address) ? availableParallelism() : remoteCores);
    return Math.min(mostJobs, cores(source), cores(target));
}

/**
 * The number of jobs, or fewer where a server lets fewer in.
 *
 * @returns at least 1
 */
export async function affordableJobs(
    jobs: number,
    source: DatabaseAddress,
    target: DatabaseAddress,
    options: ConnectionOptions,
): Promise<number> {
    const free = (address: DatabaseAddress): Promise<number> =>
        withClient(address, options, async (client) => {
            const shape = z.object({ free: z.coerce.number() });
            const { free } = await queryOne(
                client,
                shape,
                `SELECT least(current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                    - (SELECT count(*) FROM pg_stat_activity WHERE usesysid IS NOT NULL),
                    (SELECT CASE WHEN rolconnlimit < 0 THEN NULL ELSE rolconnlimit END FROM pg_roles WHERE rolname = current_user)
                )::text AS free`,
            );
            return free;
        });
    const [atSource, atTarget] = await Promise.all([free(source), free(target)]);
    return Math.max(
        1,
        Math.min(
            jobs,
            Math.floor((atSource - sourceConnections.besides) / sourceConnections.each),
            Math.floor((atTarget - targetConnections.besides) / targetConnections.each),
        ),
    );
}
