/** Removes what only the way back needed: the dump, the specifications, and the database that the swap put aside. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { cleanupContract } from "./contract.ts";
import { escapeIdentifier } from "pg";
import { withClient, type DatabaseAddress } from "./postgres/connection.ts";
import { describeObjects, inspectDatabase } from "./postgres/databaseState.ts";
import { adminAddress } from "./postgres/targetAddress.ts";
import { MigrationError } from "./run/errors.ts";
import { runDirectoryPaths } from "./run/runDirectory.ts";
import { defineStep } from "./run/step.ts";

export const cleanup = defineStep(cleanupContract, async ({ database, previous }, run) => {
    const removedDatabases: string[] = [];
    if (previous !== undefined) {
        if (await dropEmpty(await adminAddress(database), previous)) removedDatabases.push(previous);
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

/** The swap puts aside empty databases only; one that has something in it by now is somebody's. */
async function dropEmpty(maintenance: DatabaseAddress, name: string): Promise<boolean> {
    const options = { step: "cleanup" };
    const state = await inspectDatabase(maintenance, name, options);
    if (state.state === "absent") return false;
    if (state.state === "occupied") {
        throw new MigrationError("SM-E0804", {
            where: `database ${name}`,
            found: describeObjects(state),
            expected: "the empty database that the swap put aside",
        });
    }
    await withClient(maintenance, options, (client) => client.query(`DROP DATABASE ${escapeIdentifier(name)}`));
    return true;
}

async function sizeOf(path: string): Promise<number> {
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) return 0;
    if (!status.isDirectory()) return status.size;
    const sizes = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name))));
    return sizes.reduce((sum, size) => sum + size, 0);
}
