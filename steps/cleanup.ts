/** Removes what only the way back needed: the dump, the specifications, and the database that the swap put aside. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { cleanupContract } from "./contract.ts";
import { adminAddress, withClient } from "./postgres/connection.ts";
import { dropPrevious } from "./postgres/swapDatabases.ts";
import { runDirectoryPaths } from "./run/runDirectory.ts";
import { defineStep } from "./run/step.ts";

export const cleanup = defineStep(cleanupContract, async ({ database, previous }, run) => {
    const removedDatabases: string[] = [];
    if (previous !== undefined) {
        const admin = await adminAddress(database, "postgres");
        await withClient(admin, { step: "cleanup" }, (client) => dropPrevious(client, previous, run.id));
        removedDatabases.push(previous);
    }
    const working = [
        join(run.directory, "dump"),
        join(run.directory, "canary.json"),
        runDirectoryPaths(run.directory).specs,
    ];
    let removedBytes = 0;
    for (const path of working) {
        removedBytes += await sizeOf(path);
        await rm(path, { recursive: true, force: true });
    }
    await run.evidence({ removed: working, removedDatabases });
    return { removedBytes, removedDatabases };
});

async function sizeOf(path: string): Promise<number> {
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) return 0;
    if (!status.isDirectory()) return status.size;
    const sizes = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name))));
    return sizes.reduce((sum, size) => sum + size, 0);
}
