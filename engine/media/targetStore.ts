/** The target's media store: a directory with a file that says which run prepared it. */
import { constants } from "node:fs";
import { lstat, open, readdir, rename, rm, rmdir } from "node:fs/promises";
import { basename, dirname, join, sep } from "node:path";
import { z } from "zod";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { emptyDirectory, hasCode, holdBelow, removeBelow, holdDirectory, holdShaped } from "../run/heldDirectory.ts";
import { parseJson } from "../run/parseJson.ts";
import { readTrusted } from "../run/trustedFile.ts";
import { localFiles } from "../machines/local/localFiles.ts";
import type { FileFacts, Machine } from "../machines/machine.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";
import type { Owner } from "./copyFile.ts";
import type { ReadStore } from "./readStore.ts";

const markerName = ".synapse-migration.json";
const marker = z.strictObject({
    run: z.string(),
    /** Whether the directory was made by us and goes with its content. */
    made: z.boolean(),
});
type Marker = z.infer<typeof marker>;

const directoryMode = 0o750;

/**
 * Makes the store, or takes over one that an earlier run prepared.
 *
 * @throws MigrationError SM-E0963 when something is there already that no run put there, or when it does not tell upper from lower case
 */
export async function prepareStore(directory: string, run: string, owner: Owner | undefined): Promise<void> {
    const found = await lstat(directory).catch(() => undefined);
    if (found !== undefined && !found.isDirectory()) throw unfit(directory, "it is not a directory");
    const before = await readMarker(directory);
    const content = found === undefined ? [] : (await readdir(directory)).filter((name) => name !== "lost+found");
    if (before === undefined && content.length > 0) {
        throw unfit(
            directory,
            `it holds ${content.length} entries already, ${content.slice(0, 3).join(", ")} among them`,
        );
    }
    const held = await holdShaped(directory, { mode: directoryMode, owner });
    try {
        await requireCase(held.path, directory);
        const made = before?.made ?? held.isNew;
        await writePrivateFile(held.at(markerName), `${JSON.stringify({ run, made } satisfies Marker)}\n`);
    } finally {
        await held.close();
    }
}

/**
 * @throws MigrationError SM-E0963 when the store was not prepared by this run
 */
export async function requirePrepared(directory: string, run: string): Promise<void> {
    const found = await readMarker(directory);
    if (found?.run === run) return;
    const what = found === undefined ? "it was not prepared by a run" : `it belongs to run ${found.run}`;
    throw unfit(directory, what, "is the step media-storage done?");
}

/** @returns whether it was this run's, and is gone */
export async function removeStore(directory: string, run: string): Promise<boolean> {
    const found = await readMarker(directory);
    if (found?.run !== run) return false;
    // Synapse's user may write here: what is removed is what is in this very directory, wherever links lead meanwhile.
    await emptyDirectory(await holdDirectory(directory), [markerName, "lost+found"]);
    // The marker last: a removal that was cut short can be finished.
    await removePrivateFile(join(directory, markerName));
    if (found.made) await rmdir(directory);
    return true;
}

/**
 * Moves a file that does not come from the source out of Synapse's sight, inside the store. What a target wrote that was rolled back
 * later is not thrown away.
 */
export async function setAside(root: string, path: string, run: string): Promise<void> {
    const from = await holdBelow(root, dirname(path));
    try {
        const make = { mode: 0o700, owner: undefined };
        const to = await holdBelow(root, join(`.set-aside-${run}`, dirname(path)), make);
        try {
            await rename(from.at(basename(path)), to.at(basename(path)));
        } finally {
            await to.close();
        }
    } finally {
        await from.close();
    }
    await removeEmpty(root, dirname(path));
}

/** Directories that only held what is gone: they may be as foreign as that was. */
async function removeEmpty(root: string, path: string): Promise<void> {
    for (let directory = path; directory !== "."; directory = dirname(directory)) {
        try {
            await removeBelow(root, directory, rmdir);
        } catch (error) {
            if (hasCode(error, "ENOTEMPTY") || hasCode(error, "EEXIST")) return;
            throw error;
        }
    }
}

/**
 * Refuses a source and a target that are, or lie in, each other. Both as real paths.
 *
 * @throws MigrationError SM-E0963
 */
export async function requireApart({ machine, root, linked }: ReadStore, targetRoot: string): Promise<void> {
    if (!machine.isHere && !(await hasTarget(machine, targetRoot))) return;
    const target = await machine.files.stat(targetRoot);
    for (const place of [root, ...linked.map(({ to }) => to)]) {
        const same = target !== undefined && (await machine.files.stat(place))?.identity === target.identity;
        const within = (inner: string, outer: string): boolean => inner.startsWith(outer + sep);
        if (same || within(place, targetRoot) || within(targetRoot, place)) {
            throw unfit(
                targetRoot,
                `the source's media store is ${placeOn(machine, place)}`,
                "choose another `target.directory`; a target never works on the source's files",
            );
        }
    }
}

/** Whether another machine is this one after all, or shares the target's file system under the same path: the marker is the same file. */
async function hasTarget({ files }: Machine, targetRoot: string): Promise<boolean> {
    const path = join(targetRoot, markerName);
    const [there, here] = await Promise.all([files.lstat(path), localFiles.lstat(path)]);
    const facts = (found: FileFacts | undefined): unknown[] => [
        found?.mtime,
        found?.size,
        found?.identity.split(":")[1],
    ];
    return there !== undefined && facts(there).every((fact, index) => fact === facts(here)[index]);
}

async function readMarker(directory: string): Promise<Marker | undefined> {
    const text = await readTrusted(join(directory, markerName)).catch(() => undefined);
    return text === undefined ? undefined : marker.safeParse(parseJson(text)).data;
}

/** Media ids that differ only in case would overwrite each other. */
async function requireCase(place: string, directory: string): Promise<void> {
    const probe = join(place, ".Synapse-Migration-Case");
    await rm(probe, { force: true });
    await (await open(probe, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)).close();
    try {
        const found = await lstat(join(place, ".synapse-migration-case")).catch(() => undefined);
        if (found !== undefined) throw unfit(directory, "its file system does not tell upper from lower case");
    } finally {
        await rm(probe, { force: true });
    }
}

function unfit(directory: string, found: string, fix?: string): MigrationError {
    return new MigrationError("SM-E0963", {
        where: directory,
        found,
        expected: "an empty directory, or none, for the target's media store",
        ...(fix === undefined ? {} : { fix }),
    });
}
