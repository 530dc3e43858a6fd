/** What a PostgreSQL server has room for, on whatever machine it is. */
import { z } from "zod";
import type { TargetDatabase } from "../../../contract/targetDatabase.ts";
import { spaceOn, type SpaceNeed } from "../../machines/freeSpace.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import type { Machine } from "../../machines/machine.ts";
import { sourceMachine } from "../../machines/sourceMachine.ts";
import { containerAt } from "../../services/containers/serverContainer.ts";
import { queryOne, type Client } from "../connection.ts";
import { isAtHome } from "../databaseAddress.ts";
import { placeOfServer } from "./sourceDatabase.ts";

/** Where a server is: of one that is installed, what reaches it. */
export type ServerPlace = Pick<TargetDatabase, "host"> & {
    readonly installed?: Pick<NonNullable<TargetDatabase["installed"]>, "deployment"> | undefined;
};

/**
 * The file system of its data directory; undefined where the role may not know that, or it is on a machine that is not known.
 *
 * @param client  of an administrator
 */
export async function serverSpace(
    server: ServerPlace,
    client: Client,
    neededBytes: number,
): Promise<SpaceNeed | undefined> {
    const directory = await dataDirectory(client);
    const found = directory === undefined ? undefined : await placeOf(server, directory);
    return found === undefined ? undefined : spaceOn(found.machine, found.path, neededBytes);
}

async function dataDirectory(client: Client): Promise<string | undefined> {
    const { directory } = await queryOne(
        client,
        z.object({ directory: z.string().nullable() }),
        `SELECT CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
            THEN current_setting('data_directory') END AS directory`,
    );
    return directory ?? undefined;
}

async function placeOf(
    { host, installed }: ServerPlace,
    directory: string,
): Promise<{ readonly machine: Machine; readonly path: string } | undefined> {
    if (installed === undefined) return isAtHome({ host }) ? { machine: thisMachine, path: directory } : undefined;
    const machine = sourceMachine(installed.deployment);
    const place = await placeOfServer(installed.deployment);
    if (place.socket !== undefined) return { machine, path: directory };
    const container = await containerAt(machine, place);
    if (container !== undefined) return { machine, path: `/proc/${container.pid}/root${directory}` };
    return isAtHome(place) ? { machine, path: directory } : undefined;
}
