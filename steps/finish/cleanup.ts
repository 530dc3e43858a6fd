/** Removes what only the way back needed: the dump, the specifications, and the database that the swap put aside. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { escapeIdentifier } from "pg";
import {
    cleanupContract,
    configureContract,
    keptUntil,
    secretsContract,
    type SafeguardCopy,
    type TargetDatabase,
} from "../../contract/index.ts";
import { forgetInstalled, heldInstalled } from "../../engine/installed/holder.ts";
import { removeStore } from "../../engine/media/targetStore.ts";
import { removeTargetFiles } from "../../engine/synapse/config/targetFiles.ts";
import { compareContents } from "../../engine/postgres/compare/compareDatabase.ts";
import { forgetCopy } from "../../engine/postgres/directCopy/doneTasks.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { describeObjects, inspectDatabase } from "../../engine/postgres/databases/databaseState.ts";
import { readManifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { safeguardPaths } from "../../engine/postgres/safeguard/safeguardCopy.ts";
import { refuseSessions } from "../../engine/postgres/server/sessions.ts";
import { adminAddress, ownerAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { removePrivateFile } from "../../engine/run/atomicFile.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import { takenDirectoryName } from "../../engine/sqlite/takeFile.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

const step = "cleanup";
const longestReason = 400;

/**
 * A database that held data is kept, with its copy, for `safeguardHours` after the opening; the first call after that drops both, unless
 * the database is not as it was copied: then a person decides. Done again at each call.
 *
 * Raises SM-E0804 when something without a copy has become occupied, SM-E0709 while somebody is connected to what is due.
 */
export const cleanup = defineStep(cleanupContract, async (spec, run) => {
    const { database, previous, copy, openedAt, safeguardHours } = spec;
    const removedDatabases: string[] = [];
    const working = [
        join(run.directory, "dump"),
        join(run.directory, takenDirectoryName),
        join(run.directory, "canary.json"),
        runDirectoryPaths(run.directory).specs,
    ];
    const kept: Kept[] = [];
    if (previous !== undefined) {
        const until = keptUntil(openedAt, safeguardHours);
        const keeping = copy === undefined ? undefined : await whyKept(database, previous, copy, until, run);
        if (keeping !== undefined) {
            kept.push(keeping);
            run.progress.note(`database ${previous} and its copy are kept until ${until}${reasonOf(keeping)}`);
        } else {
            if (await drop(await adminAddress(database), previous, copy !== undefined, run))
                removedDatabases.push(previous);
            // After the database: a kill in between leaves the copy, which the next attempt removes.
            if (copy !== undefined) working.push(safeguardPaths(run.directory).root);
        }
    }
    await forgetEarlierCopy(database, run);
    let removedBytes = 0;
    for (const path of working) {
        removedBytes += await sizeOf(path);
        await rm(path, { recursive: true, force: true });
        await removePrivateFile(path);
    }
    if (spec.workplace !== undefined) removedBytes += await clearWorkplace(spec.workplace, run);
    await run.evidence({ removed: working, removedDatabases, kept });
    return { removedBytes, removedDatabases, kept };
});

/** An installed homeserver has media and identity of its own by now: a second copy of its secrets is one that nobody watches. */
async function clearWorkplace(
    { directory, mediaStore }: { readonly directory: string; readonly mediaStore: string },
    run: StepRun,
): Promise<number> {
    const bytes = await sizeOf(mediaStore);
    const isGone = await removeStore(mediaStore, run.id);
    for (const step of [configureContract.name, secretsContract.name]) await removeTargetFiles(directory, step, run.id);
    // One that may be thrown away whole gives the installer's own homeserver back.
    const kept = run.reference.disposable === true ? undefined : await heldInstalled(run.reference, "service");
    if (kept !== undefined) await forgetInstalled(kept);
    return isGone ? bytes : 0;
}

/** The swap has done it, unless that was one of an earlier version. */
async function forgetEarlierCopy(database: TargetDatabase, run: StepRun): Promise<void> {
    const options = { step, signal: run.signal };
    const { state } = await inspectDatabase(await adminAddress(database), database.name, options);
    if (state === "absent") return;
    await withClient(await ownerAddress(database, database.name), options, forgetCopy);
}

interface Kept {
    readonly name: string;
    readonly until: string;
    readonly reason?: string;
}

const reasonOf = ({ reason }: Kept): string =>
    reason === undefined ? "" : `, and then until somebody drops them: ${reason}`;

/** @returns undefined when nothing speaks against dropping the database, and its copy with it */
async function whyKept(
    database: TargetDatabase,
    name: string,
    copy: SafeguardCopy,
    until: string,
    run: StepRun,
): Promise<Kept | undefined> {
    if (Date.now() < Date.parse(until)) return { name, until };
    const state = await inspectDatabase(await adminAddress(database), name, { step, signal: run.signal });
    if (state.state !== "occupied") return undefined;
    const keep = (reason: string): Kept => ({ name, until, reason: reason.slice(0, longestReason) });
    const manifest = await readManifest(copy.manifestFile, copy.digest).catch((error: unknown) => {
        if (error instanceof MigrationError) return undefined;
        throw error;
    });
    if (manifest === undefined) return keep(`the manifest of its copy, ${copy.manifestFile}, is gone or another one`);
    if (manifest.database.oid !== state.oid) return keep("it is not the database that was copied");
    const address = await adminAddress(database, name);
    const checks = await run.progress.during("comparing what was put aside with its copy", () =>
        compareContents(address, manifest, { step, jobs: 1, signal: run.signal }),
    );
    const failed = checks.filter((check) => check.state === "failed");
    if (failed.length === 0) return undefined;
    return keep(`it was written to since it was copied: ${failed.map(({ evidence }) => evidence).join("; ")}`);
}

/** Without a copy the swap puts aside empty databases only; one that has something in it by now is somebody's. */
async function drop(maintenance: DatabaseAddress, name: string, copied: boolean, run: StepRun): Promise<boolean> {
    const options = { step, signal: run.signal };
    const state = await inspectDatabase(maintenance, name, options);
    if (state.state === "absent") return false;
    if (state.state === "occupied" && !copied) {
        throw new MigrationError("SM-E0804", {
            where: `database ${name}`,
            found: describeObjects(state),
            expected: "the empty database that the swap put aside",
        });
    }
    await withClient(maintenance, { ...options, statementSeconds: 600 }, async (client) => {
        await refuseSessions(client, [name]);
        await client.query(`DROP DATABASE ${escapeIdentifier(name)}`);
    });
    return true;
}

async function sizeOf(path: string): Promise<number> {
    const status = await stat(path).catch(() => undefined);
    if (status === undefined) return 0;
    if (!status.isDirectory()) return status.size;
    const sizes = await Promise.all((await readdir(path)).map((name) => sizeOf(join(path, name))));
    return sizes.reduce((sum, size) => sum + size, 0);
}
