/** The directory of a bundle: made for one run, with nothing in it but what the receiver is to get. */
import { lstat, mkdir, readdir, readFile, rm, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { removePrivateFile, writePrivateFile } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import { artefactNames, belongsTo, openNames, mediaExportFolder } from "./bundleNames.ts";

/**
 * Kept in the run directory, as a file in the bundle would be sent along. Device and number tell the directory from another one that
 * was made under its name.
 */
const recordShape = z.strictObject({ directory: z.string(), device: z.string(), inode: z.string(), made: z.boolean() });
type DirectoryRecord = z.infer<typeof recordShape>;

const recordFile = (runDirectory: string): string => join(runDirectory, "bundle-directory.json");

/**
 * Makes the directory, mode 0700, or takes one that is empty and nobody else may look into. Again for the same run: nothing.
 *
 * @throws MigrationError SM-E0713
 */
export async function prepareBundleDirectory(directory: string, runDirectory: string): Promise<void> {
    const before = await readRecord(runDirectory);
    const found = await lstat(directory, { bigint: true }).catch(() => undefined);
    if (found !== undefined && before !== undefined && isSame(before, directory, found)) return;
    if (found !== undefined) {
        if (!found.isDirectory()) throw notOurs(directory, "it is not a directory");
        const names = await readdir(directory);
        if (names.length > 0)
            throw notOurs(directory, `it holds ${names.length} entries: ${names.slice(0, 3).join(", ")}`);
        if ((found.mode & 0o077n) !== 0n)
            throw notOurs(directory, `others may look into it: mode ${(found.mode & 0o777n).toString(8)}`);
    }
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const { dev, ino } = await lstat(directory, { bigint: true });
    const record = { directory, device: String(dev), inode: String(ino), made: found === undefined };
    await writePrivateFile(recordFile(runDirectory), `${JSON.stringify(record satisfies DirectoryRecord)}\n`);
}

/** @throws MigrationError SM-E0713 when this run has not prepared it */
export async function requireOwnBundle(directory: string, runDirectory: string): Promise<void> {
    const record = await readRecord(runDirectory);
    const found = await lstat(directory, { bigint: true }).catch(() => undefined);
    if (found === undefined) throw notOurs(directory, "it is not there");
    if (record === undefined || !isSame(record, directory, found))
        throw notOurs(directory, "it is another directory than the one that this run has prepared");
}

/**
 * What is in the directory beside the bundle: nothing, unless somebody put it there.
 *
 * @param files  names of the bundle
 */
export async function strangersIn(directory: string, files: readonly string[]): Promise<string[]> {
    return (await readdir(directory)).filter((name) => !files.includes(name));
}

/** Removes a file of the bundle with all its parts, also those of an attempt that was killed. */
export async function removeArtefact(directory: string, artefact: string): Promise<void> {
    await removePrivateFile(join(directory, artefact));
    for (const name of await readdir(directory).catch(() => []))
        if (belongsTo(artefact, name)) await rm(join(directory, name), { force: true });
}

/** Removes an artefact of this run; another directory that has taken the place of the bundle's stays as it is. */
export async function takeBackArtefact(directory: string, artefact: string, runDirectory: string): Promise<void> {
    const record = await readRecord(runDirectory);
    const found = await lstat(directory, { bigint: true }).catch(() => undefined);
    if (record !== undefined && found !== undefined && isSame(record, directory, found))
        await removeArtefact(directory, artefact);
}

/** Removes the bundle, and the directory if this run has made it and nothing else is in it. @returns whether it is gone, or never was */
export async function removeBundle(directory: string, runDirectory: string): Promise<boolean> {
    const record = await readRecord(runDirectory);
    const found = await lstat(directory, { bigint: true }).catch(() => undefined);
    if (found !== undefined && (record === undefined || !isSame(record, directory, found))) return false;
    for (const name of [...artefactNames, ...openNames]) await removeArtefact(directory, name);
    const isEmpty = found !== undefined && (await readdir(directory)).length === 0;
    if (isEmpty && record?.made === true) await rmdir(directory);
    await removePrivateFile(recordFile(runDirectory));
    return isEmpty || found === undefined;
}

function isSame(
    record: DirectoryRecord,
    directory: string,
    found: { readonly dev: bigint; readonly ino: bigint; isDirectory(): boolean },
): boolean {
    const { device, inode } = record;
    return (
        record.directory === directory &&
        found.isDirectory() &&
        device === String(found.dev) &&
        inode === String(found.ino)
    );
}

async function readRecord(runDirectory: string): Promise<DirectoryRecord | undefined> {
    try {
        return recordShape.parse(JSON.parse(await readFile(recordFile(runDirectory), "utf8")));
    } catch {
        return undefined;
    }
}

function notOurs(directory: string, found: string): MigrationError {
    return new MigrationError("SM-E0713", {
        where: directory,
        found,
        expected: "a directory that is not there yet, or an empty one of mode 0700",
    });
}

/** Where the export of the media lies, unencrypted, until it is packed: in the run directory, mode 0700. */
export const mediaSpool = (runDirectory: string): string => join(runDirectory, mediaExportFolder);
