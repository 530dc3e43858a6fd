/** Whether there is room for the copy of a database, and for the database that it is restored into. */
import { fileSystemOf, lackingSpace } from "../../machines/freeSpace.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Progress } from "../../run/progress.ts";
import type { Client } from "../connection.ts";
import { serverSpace, type ServerPlace } from "../databases/serverSpace.ts";

/** An uncompressed archive has no indexes and never exceeds the database. */
const copyFactor = 1;
/** Write-ahead log and sorts need room, too. */
const restoreFactor = 1.3;

export interface CopyNeed extends ServerPlace {
    /** Size of the database. */
    readonly bytes: number;
    /** Must be there. */
    readonly runDirectory: string;
}

/**
 * Looks at the run directory's file system, and at the server's own where its machine is known and the role may know where.
 *
 * @throws MigrationError SM-E1201 naming how much is needed and how much is free
 */
export async function refuseLackingSpace(client: Client, need: CopyNeed, progress: Progress): Promise<void> {
    const restored = await serverSpace(need, client, need.bytes * restoreFactor);
    const copied = await fileSystemOf(need.runDirectory, need.bytes * copyFactor);
    if (restored === undefined)
        progress.note(
            "the free space of the PostgreSQL server cannot be seen from here: is there room for the database once more?",
        );
    const lacking = lackingSpace(restored === undefined ? [copied] : [copied, restored]);
    if (lacking.length === 0) return;
    throw new MigrationError("SM-E1201", {
        where: "the copy of the database that is replaced, and the database that it is restored into",
        found: lacking.map(({ evidence }) => evidence).join("\n"),
        expected: "room for both",
        changed: "nothing",
    });
}
