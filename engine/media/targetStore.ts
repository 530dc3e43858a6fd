/** The target's media store: a directory with a file that says which run prepared it. */
import { lstat, mkdir, readdir, readFile, rename, rm, stat, writeFile, chown, chmod } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { z } from "zod";
import { writePrivateFile } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import type { Owner } from "./copyFile.ts";

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
    await mkdir(directory, { recursive: true, mode: directoryMode });
    if (owner !== undefined) await chown(directory, owner.uid, owner.gid);
    await chmod(directory, directoryMode);
    await requireCase(directory);
    const made = before?.made ?? found === undefined;
    await writePrivateFile(join(directory, markerName), `${JSON.stringify({ run, made } satisfies Marker)}\n`);
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
    if (found.made) {
        await rm(directory, { recursive: true });
        return true;
    }
    const names = await readdir(directory);
    // The marker last: a removal that was cut short can be finished.
    const others = names.filter((name) => name !== markerName && name !== "lost+found");
    for (const name of [...others, markerName]) await rm(join(directory, name), { recursive: true });
    return true;
}

/**
 * Moves a file that does not come from the source out of Synapse's sight, inside the store. What a target wrote that was rolled back
 * later is not thrown away.
 */
export async function setAside(root: string, path: string, run: string): Promise<void> {
    const to = join(root, `.set-aside-${run}`, path);
    await mkdir(dirname(to), { recursive: true, mode: 0o700 });
    await rename(join(root, path), to);
}

/**
 * Refuses a source and a target that are, or lie in, each other. Both as real paths.
 *
 * @throws MigrationError SM-E0963
 */
export async function requireApart(sourceRoot: string, targetRoot: string): Promise<void> {
    const [source, target] = await Promise.all([stat(sourceRoot), stat(targetRoot)]);
    const same = source.dev === target.dev && source.ino === target.ino;
    const within = (inner: string, outer: string): boolean => inner.startsWith(outer + sep);
    if (same || within(sourceRoot, targetRoot) || within(targetRoot, sourceRoot)) {
        throw unfit(
            targetRoot,
            `the source's media store is ${sourceRoot}`,
            "choose another `target.directory`; a target never works on the source's files",
        );
    }
}

async function readMarker(directory: string): Promise<Marker | undefined> {
    try {
        return marker.parse(JSON.parse(await readFile(join(directory, markerName), "utf8")));
    } catch {
        return undefined;
    }
}

/** Media ids that differ only in case would overwrite each other. */
async function requireCase(directory: string): Promise<void> {
    const probe = join(directory, ".Synapse-Migration-Case");
    await writeFile(probe, "");
    try {
        const found = await lstat(join(directory, ".synapse-migration-case")).catch(() => undefined);
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
