/** Finds the media of a bundle: peels archives until there is a media store, or what matrix-media-repo has exported. */
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { refuseOtherChecksums } from "../bundle/input/checksums.ts";
import { extractArchives } from "../bundle/archives/extract.ts";
import { inputStatus } from "../bundle/input/inputFiles.ts";
import { joinedParts } from "../bundle/input/parts.ts";
import { MigrationError } from "../run/errors.ts";
import type { Progress } from "../run/progress.ts";
import { localFolders } from "./layout.ts";

export interface UnpackMediaOptions {
    readonly passphrase?: string | undefined;
    /** Armored; for files that are encrypted to a public key. */
    readonly secretKey?: string | undefined;
    /** Of this run, mode 0700. */
    readonly workDirectory: string;
    readonly signal?: AbortSignal;
    readonly progress: Progress;
}

export type UnpackedMedia =
    /** Has `local_content`. */
    | { readonly kind: "store"; readonly directory: string }
    /** Has a `manifest.json` somewhere, or is refused when it is read. */
    | { readonly kind: "archive"; readonly directory: string };

/** A provider's archive holds a folder with archives, which hold the files: no known provider nests them deeper. */
const deepest = 3;
const archiveName = /\.(tgz|tar|tar\.gz|zip)(\.gpg)?$/i;

/** Where archives are unpacked to, in the run directory. */
export const unpackedMediaDirectory = (workDirectory: string): string => join(workDirectory, "unpacked-media");

/**
 * @param paths  archives, each whole in itself, or one directory
 * @throws MigrationError SM-E0932 when a checksum beside them is another, SM-E0969 when neither a store nor an archive is in them, and those of {@link extractArchive}
 */
export async function unpackMedia(paths: readonly string[], options: UnpackMediaOptions): Promise<UnpackedMedia> {
    const [first = ""] = paths;
    await refuseOtherChecksums(paths, options);
    const directories = [];
    for (const path of paths) if ((await inputStatus(path)).isDirectory()) directories.push(path);
    if (paths.length === 1 && directories.length === 1) return look(first, options, 0);
    if (directories.length > 0)
        throw new MigrationError("SM-E0969", {
            where: paths.join(", "),
            found: `${directories.length} directories among ${paths.length} paths`,
            expected: "one directory, or files",
        });
    const directory = unpackedMediaDirectory(options.workDirectory);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700 });
    const inner = join(directory, "level-0");
    await unpackInto(inner, paths, options);
    return look(inner, options, 1);
}

async function unpackInto(
    destination: string,
    files: readonly string[],
    { passphrase, secretKey, workDirectory, signal, progress }: UnpackMediaOptions,
): Promise<void> {
    const archives = (await joinedParts(files)).map((artefact) => artefact.paths);
    let state = "";
    await progress.during(
        `unpacking media, ${archives.length} archives`,
        () =>
            extractArchives(archives, {
                destination,
                workDirectory,
                passphrase,
                secretKey,
                signal,
                // Media ids are case-sensitive; the store they are for tells them apart, too.
                exactNames: true,
                onProgress: ({ files: done, bytes }) => (state = `${done} files, ${bytes} bytes`),
            }),
        () => state,
    );
}

async function look(directory: string, options: UnpackMediaOptions, depth: number): Promise<UnpackedMedia> {
    const found = await survey(directory);
    if (found.store !== undefined) return { kind: "store", directory: found.store };
    if (found.manifests > 0) return { kind: "archive", directory };
    if (found.archives.length > 0 && depth < deepest) {
        const inner = join(unpackedMediaDirectory(options.workDirectory), `level-${depth}`);
        await mkdir(unpackedMediaDirectory(options.workDirectory), { recursive: true, mode: 0o700 });
        await unpackInto(inner, found.archives, options);
        return look(inner, options, depth + 1);
    }
    throw new MigrationError("SM-E0969", {
        where: directory,
        found: `neither ${localFolders[0]} nor manifest.json in it, nor below it`,
        expected: "a Synapse media store, or an export of matrix-media-repo",
    });
}

/** What is in the directory, as deep as archives nest folders. */
async function survey(
    directory: string,
    levels = 4,
): Promise<{ store: string | undefined; manifests: number; archives: string[] }> {
    const entries = await readdir(directory, { withFileTypes: true });
    const content = entries.find(({ name }) => name === "local_content");
    // A folder, or a link to one: whether it may be followed is looked at when the store is read.
    if (content !== undefined && (await isDirectory(join(directory, content.name))))
        return { store: directory, manifests: 0, archives: [] };
    const files = entries.filter((entry) => entry.isFile()).map(({ name }) => name);
    let manifests = files.filter((name) => name === "manifest.json").length;
    const archives = files.filter((name) => archiveName.test(name)).map((name) => join(directory, name));
    if (levels > 0)
        for (const { name } of entries.filter((entry) => entry.isDirectory())) {
            const below = await survey(join(directory, name), levels - 1);
            if (below.store !== undefined) return below;
            manifests += below.manifests;
            archives.push(...below.archives);
        }
    return { store: undefined, manifests, archives: archives.sort() };
}

async function isDirectory(path: string): Promise<boolean> {
    return stat(path).then(
        (found) => found.isDirectory(),
        () => false,
    );
}
