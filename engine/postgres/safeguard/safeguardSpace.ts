/** Whether there is room for the copy of a database, and for the database that it is restored into. */
import { lstat, statfs } from "node:fs/promises";
import { z } from "zod";
import { lackingSpace, type SpaceNeed } from "../../machines/freeSpace.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Progress } from "../../run/progress.ts";
import { queryOne, type Client } from "../connection.ts";

/** An uncompressed archive has no indexes and never exceeds the database. */
const copyFactor = 1;
/** Write-ahead log and sorts need room, too. */
const restoreFactor = 1.3;
const loopback: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"]);

export interface CopyNeed {
    /** Of the server. */
    readonly host: string;
    /** Size of the database. */
    readonly bytes: number;
    /** Must be there. */
    readonly runDirectory: string;
}

/**
 * Looks at the run directory's file system, and at the server's own where that is on this machine and the role may know where.
 *
 * @throws MigrationError SM-E1201 naming how much is needed and how much is free
 */
export async function refuseLackingSpace(client: Client, need: CopyNeed, progress: Progress): Promise<void> {
    const data = loopback.has(need.host) || need.host.startsWith("/") ? await dataDirectory(client) : undefined;
    const restored = data === undefined ? undefined : await spaceAt(data, need.bytes * restoreFactor);
    const copied = await spaceAt(need.runDirectory, need.bytes * copyFactor);
    if (restored === undefined)
        progress.note(
            "the free space of the PostgreSQL server cannot be seen from here: is there room for the database once more?",
        );
    const lacking = lackingSpace([copied, restored].filter((known) => known !== undefined));
    if (lacking.length === 0) return;
    throw new MigrationError("SM-E1201", {
        where: "the copy of the database that is replaced, and the database that it is restored into",
        found: lacking.map(({ evidence }) => evidence).join("\n"),
        expected: "room for both",
        changed: "nothing",
    });
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

/** Undefined where there is no such directory on this machine, as for a server in a container. */
async function spaceAt(path: string, neededBytes: number): Promise<SpaceNeed | undefined> {
    const status = await lstat(path).catch(() => undefined);
    if (status === undefined) return undefined;
    const { bavail, bsize } = await statfs(path);
    return { device: String(status.dev), path, freeBytes: bavail * bsize, neededBytes };
}
