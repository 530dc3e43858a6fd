/** The files of an extracted archive, wherever its parts were unpacked to below one directory. */
import type { Dirent } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import type { Listed } from "../completeness.ts";
import { newListed, note } from "./mediaArchive.ts";
import { manifestName } from "./archiveManifest.ts";

export interface ArchiveFiles {
    /** Paths of all files called `manifest.json`. */
    readonly manifests: readonly string[];
    /** Path of each other file, by its name. */
    readonly byName: ReadonlyMap<string, string>;
    /** Names that more than one part has. */
    readonly repeated: ReadonlySet<string>;
    /** Links, devices and the like: never read. */
    readonly special: Listed;
    /** Packed parts that nobody unpacked. */
    readonly packed: readonly string[];
}

/** An export may lie in a folder of its own, its parts in folders of theirs. */
const deepestFolder = 4;

/** @throws MigrationError SM-E0960 when there is no such directory */
export async function listArchiveFiles(directory: string): Promise<ArchiveFiles> {
    const found = await lstat(directory).catch(() => undefined);
    if (found?.isDirectory() !== true) {
        throw new MigrationError("SM-E0960", {
            where: directory,
            found: found === undefined ? "there is no such directory" : "it is not a directory",
            expected: "the directory a media archive was unpacked to",
        });
    }
    const files = {
        manifests: new Array<string>(),
        byName: new Map<string, string>(),
        repeated: new Set<string>(),
        special: newListed(),
        packed: new Array<string>(),
    };
    for await (const entry of walk(directory, 0)) {
        const path = join(entry.parentPath, entry.name);
        if (!entry.isFile()) note(files.special, path);
        else if (entry.name === manifestName) files.manifests.push(path);
        else if (files.byName.has(entry.name)) files.repeated.add(entry.name);
        else files.byName.set(entry.name, path);
        if (entry.isFile() && /\.(tgz|tar|tar\.gz)$/.test(entry.name)) files.packed.push(path);
    }
    return files;
}

async function* walk(directory: string, depth: number): AsyncGenerator<Dirent> {
    const entries = await readdir(directory, { withFileTypes: true });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
        if (entry.isDirectory() && depth < deepestFolder) yield* walk(join(directory, entry.name), depth + 1);
        else yield entry;
    }
}
