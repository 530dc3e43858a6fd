/** The files a step writes into the target's directory: private, recorded as ours, and taken back by the run that wrote them. */
import { lstat, rmdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import {
    makeTargetDirectory,
    releaseTargetDirectory,
    type TargetDirectoryOptions,
} from "../../machines/targetDirectory.ts";
import type { Machine } from "../../machines/machine.ts";
import { placeOn } from "../../machines/placeOn.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import { removePrivateFile, writePrivateFile } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import { hasCode, removeBelow, shapeDirectory } from "../../run/heldDirectory.ts";
import { readTrusted } from "../../run/trustedFile.ts";
import type { FileCopy } from "./relocateFiles.ts";

const manifestShape = z.strictObject({
    /** The run that wrote the files last. */
    run: z.string(),
    /** Files, and what is written at them later, such as logs. */
    files: z.array(z.string()),
    /** Directories, parents first; removed when empty. */
    directories: z.array(z.string()),
});
type Manifest = z.infer<typeof manifestShape>;

export interface TargetFiles {
    /** Absolute path of a file, and its content. */
    readonly contents: ReadonlyMap<string, string>;
    /** Directories that the target's servers write into. */
    readonly ownDirectories?: readonly string[];
    /** What the target writes itself and is removed with the rest. */
    readonly later?: readonly string[];
    readonly copies?: readonly FileCopy[];
    /** Where the copies are made from; this machine when absent. */
    readonly from?: Machine;
}

export interface WriteOptions extends TargetDirectoryOptions {
    /** Makes of each content what is kept of it: see `writtenFiles.ts`. */
    readonly digest?: (content: string | Uint8Array) => string;
}

/** Far more than templates, registrations and certificates need; guards against a path that points to the wrong place. */
const mostCopiedFiles = 2000;
const largestCopyBytes = 16 * 1024 * 1024;

/**
 * Writes the files with mode 0600, as the service user's where there is one. Their directories are ours, so that the user can change what is
 * in its files, and cannot put something else in their place. Safe to repeat.
 *
 * What is to be written is recorded first, so that files of a killed step are known as ours.
 *
 * @param step  names the record; one a step
 * @returns the digest of each file by its path; none without {@link WriteOptions.digest}
 * @throws MigrationError SM-E1205 when something that is not ours is in the way, before anything is written; SM-E1003 when a
 *     file to be copied is missing; SM-E1206, SM-E1207, SM-E1208 for the directory
 */
export async function writeTargetFiles(
    directory: string,
    step: string,
    run: string,
    files: TargetFiles,
    { digest, ...options }: WriteOptions = {},
): Promise<Record<string, string>> {
    const { from = thisMachine } = files;
    const copied = (await Promise.all((files.copies ?? []).map((copy) => filesToCopy(from, copy)))).flat();
    const targets = [...files.contents.keys(), ...copied.map(({ to }) => to)];
    await refuseForeign(directory, targets, () => readManifest(directory, step));
    const user = await makeTargetDirectory(directory, options);
    const before = await readManifest(directory, step);
    const owned = files.ownDirectories ?? [];
    const directories = [...new Set(targets.flatMap((path) => parentsBelow(directory, path)))];
    const manifest: Manifest = {
        run,
        files: [...targets, ...(files.later ?? [])],
        directories: [
            // An earlier version noted here that it had made it.
            ...(before?.directories.includes(directory) === true ? [directory] : []),
            ...directories,
            ...owned,
        ],
    };
    // What an earlier attempt wrote and this one does not stays recorded, so that it goes with the rest.
    const stale = (before?.files ?? []).filter((path) => !manifest.files.includes(path));
    await writePrivateFile(
        manifestPath(directory, step),
        `${JSON.stringify({ ...manifest, files: [...manifest.files, ...stale] })}\n`,
    );
    const passable = {
        mode: user === undefined ? 0o700 : 0o750,
        owner: { gid: user?.gid ?? process.getegid?.() ?? 0 },
    };
    const takenFrom = user === undefined ? [] : [user.uid];
    for (const path of directories) await shapeDirectory(path, { ...passable, takenFrom });
    for (const path of owned) await shapeDirectory(path, { mode: 0o700, owner: user });
    const owner = user === undefined ? {} : { owner: user };
    const digests: Record<string, string> = {};
    const write = async (path: string, content: string | Uint8Array): Promise<void> => {
        await writePrivateFile(path, content, owner);
        if (digest !== undefined) digests[path] = digest(content);
    };
    for (const [path, content] of files.contents) await write(path, content);
    for (const copy of copied) await write(copy.to, await contentOf(from, copy));
    return digests;
}

/** Removes what {@link writeTargetFiles} wrote, if this run was the last to write it. Nothing happens when there is nothing. */
export async function removeTargetFiles(directory: string, step: string, run: string): Promise<void> {
    const manifest = await readManifest(directory, step);
    if (manifest?.run !== run) return;
    const below = (path: string): string => path.slice(directory.length + 1);
    for (const path of manifest.files) {
        // What is at a recorded name is removed itself, never what it points to, nor what a link on the way to it leads to.
        await removeBelow(directory, below(path), async (place) => {
            if ((await kindOf(place))?.isDirectory() !== true) await removePrivateFile(place);
        });
    }
    await removePrivateFile(manifestPath(directory, step));
    for (const path of [...manifest.directories].reverse()) {
        if (path === directory) continue;
        await removeBelow(directory, below(path), rmdir).catch((error: unknown) => {
            if (!hasCode(error, "ENOTEMPTY") && !hasCode(error, "EEXIST")) throw error;
        });
    }
    await releaseTargetDirectory(directory, manifest.directories.includes(directory));
}

function manifestPath(directory: string, step: string): string {
    return join(directory, `.${step}.files.json`);
}

async function readManifest(directory: string, step: string): Promise<Manifest | undefined> {
    const path = manifestPath(directory, step);
    const text = await readTrusted(path);
    if (text === undefined) return undefined;
    const manifest = manifestShape.parse(JSON.parse(text));
    for (const named of [...manifest.files, ...manifest.directories]) {
        const isBelow = named === directory || named.startsWith(`${directory}/`);
        if (!isBelow || named.split("/").includes(".."))
            throw new MigrationError("SM-E1207", {
                where: path,
                found: `it names ${named}`,
                expected: "files below it",
            });
    }
    return manifest;
}

/** A target directory may be where another Synapse lives; overwriting its configuration would be its end. */
async function refuseForeign(
    directory: string,
    paths: readonly string[],
    recorded: () => Promise<Manifest | undefined>,
): Promise<void> {
    const top = await kindOf(directory);
    if (top !== undefined && !top.isDirectory()) throw inTheWay(directory, kindName(top));
    const ours = new Set((await recorded())?.files ?? []);
    for (const path of new Set(paths)) {
        const kind = await kindOf(path);
        if (kind !== undefined && !(kind.isFile() && ours.has(path))) throw inTheWay(path, kindName(kind));
        for (const parent of parentsBelow(directory, path)) {
            const parentKind = await kindOf(parent);
            if (parentKind !== undefined && !parentKind.isDirectory()) throw inTheWay(parent, kindName(parentKind));
        }
    }
}

function inTheWay(where: string, found: string): MigrationError {
    return new MigrationError("SM-E1205", {
        where,
        found: `${found} that this stack did not write`,
        expected: "a directory of the target's own",
    });
}

async function filesToCopy(machine: Machine, copy: FileCopy): Promise<FileCopy[]> {
    const { files } = machine;
    const { setting, from, to } = copy;
    const found = await files.stat(from).catch((cause: unknown) => {
        throw notCopied(machine, copy, "it cannot be read", cause);
    });
    if (found === undefined) throw notCopied(machine, copy, "it does not exist");
    if (found.kind === "file") {
        if (found.size > largestCopyBytes) throw notCopied(machine, copy, `it has ${found.size} bytes`);
        return [copy];
    }
    if (found.kind !== "directory") throw notCopied(machine, copy, "it is neither a file nor a directory");
    const below: FileCopy[] = [];
    let linked: string | undefined;
    for await (const { path, facts, linksTo, error } of files.walk(from, "")) {
        // Links to files are common among templates; their content is copied. Where one to a directory leads is not the setting's to say.
        if (linked !== undefined && path.startsWith(`${linked}/`)) continue;
        if (facts.kind === "directory" && linksTo !== undefined && path !== "") linked = path;
        if (error !== undefined || facts.kind !== "file") continue;
        below.push({ setting, from: join(from, path), to: join(to, path) });
        if (below.length > mostCopiedFiles) throw notCopied(machine, copy, `it has more than ${mostCopiedFiles} files`);
    }
    return below;
}

async function contentOf(machine: Machine, copy: FileCopy): Promise<Buffer> {
    const { content } = await machine.files.read(copy.from, { atMost: largestCopyBytes }).catch((cause: unknown) => {
        throw notCopied(machine, copy, "it cannot be read", cause);
    });
    if (content.length > largestCopyBytes) throw notCopied(machine, copy, `it has more than ${largestCopyBytes} bytes`);
    return content;
}

function notCopied(machine: Machine, { setting, from }: FileCopy, found: string, cause?: unknown): MigrationError {
    if (cause instanceof MigrationError) return cause;
    return new MigrationError("SM-E1003", {
        where: `${placeOn(machine, from)} (${setting})`,
        found,
        expected: "a file or directory that Synapse reads and that can be copied to the target",
        fix: "correct the setting in homeserver.yaml, or remove it there",
        cause,
    });
}

/** Directories between the target directory and a file, parents first. */
function parentsBelow(directory: string, path: string): string[] {
    const parent = dirname(path);
    return parent === directory || !parent.startsWith(`${directory}/`)
        ? []
        : [...parentsBelow(directory, parent), parent];
}

async function kindOf(path: string): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
    return lstat(path).catch((error: unknown) => {
        if (hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR")) return undefined;
        throw error;
    });
}

function kindName(kind: { isSymbolicLink(): boolean; isDirectory(): boolean; isFile(): boolean }): string {
    if (kind.isSymbolicLink()) return "a symbolic link";
    if (kind.isDirectory()) return "a directory";
    return kind.isFile() ? "a file" : "something else than a file";
}
