/** One pass over the source's media store: copies what is new or changed, and takes away what it had copied and is gone. */
import { statSync } from "node:fs";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { largestLoad } from "../machines/far/farPour.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";
import { removeBelow } from "../run/heldDirectory.ts";
import { copyFile, hashFile, newFolder, syncStore, type FileContent, type Owner, type StorePlace } from "./copyFile.ts";
import { HeldFolders } from "./heldFolders.ts";
import { inOrder, type Load } from "./inOrder.ts";
import type { IndexEntry, MediaIndex } from "./mediaIndex.ts";
import { withLimit, type ReadLimit } from "./readLimit.ts";
import type { ReadStore } from "./readStore.ts";
import { newScanNotes, scanStore, type ScanNotes, type StoredFile } from "./scan.ts";
import { filesAtOnce, TreeDigest } from "./treeDigest.ts";

export interface CopyPassArgs {
    readonly source: ReadStore;
    /** Real path, on this machine. */
    readonly targetRoot: string;
    readonly folders: readonly string[];
    readonly index: MediaIndex;
    readonly owner: Owner | undefined;
    readonly signal?: AbortSignal;
    /** What the homeserver keeps besides its store; absent where there is nothing else. */
    readonly elsewhere?: MediaElsewhere | undefined;
    /** Of what is read of the source's files; as fast as they come when absent. */
    readonly limit?: ReadLimit | undefined;
    /** Told after each file. */
    readonly onFile?: (soFar: { readonly files: number; readonly bytes: number; readonly copied: number }) => void;
}

/** Media that a homeserver has somewhere else than in its store. */
export interface MediaElsewhere {
    has(path: string): boolean;
    /** Copies it into a store, as {@link copyFile} does. */
    copy(path: string, target: StorePlace, owner: Owner | undefined): Promise<FileContent>;
}

export interface CopyPass {
    readonly files: number;
    readonly bytes: number;
    readonly copied: number;
    /** Files that are gone from the source and were taken away from the target. */
    readonly removed: number;
    /** Files that changed while they were read; not copied. */
    readonly changing: readonly string[];
    readonly sparse: number;
    readonly notes: ScanNotes;
    /** Digest of the copied files, as the source had them. */
    readonly treeDigest: string;
    /** Paths of all files that the walk saw. */
    readonly seen: ReadonlySet<string>;
    /** What the walk saw, to compare with a later one: see {@link walkDigest}. */
    readonly walk: string;
}

/** Of a source on another machine: as many on their way that the network, and not the way there and back, is the slower part. */
const farFilesAtOnce = 512;
/** Of what is in memory at a time: a small file is there whole, of a large one there are some pieces. */
const farLoad: Load<StoredFile> = { of: ({ size }) => Math.min(size, largestLoad), most: 48 * 1024 * 1024 };

/** With a limit no more is begun than one large file has ahead: else all that fits in memory would come at once. */
const limitedLoad: Load<StoredFile> = { ...farLoad, most: largestLoad };

function loadOf({ source, limit }: CopyPassArgs): Load<StoredFile> | undefined {
    if (source.machine.isHere) return undefined;
    return limit === undefined ? farLoad : limitedLoad;
}

/** Safe to repeat, and to kill: files that are copied already are not copied again. */
export async function copyPass(args: CopyPassArgs): Promise<CopyPass> {
    const folders = new HeldFolders(args.targetRoot, newFolder(args.owner));
    try {
        return await copyInto(folders, args);
    } finally {
        folders.close();
    }
}

async function copyInto(folders: HeldFolders, args: CopyPassArgs): Promise<CopyPass> {
    const { index, source } = args;
    const notes = newScanNotes();
    const digest = new TreeDigest();
    const walk = createHash("sha256");
    const seen = new Set<string>();
    const changing: string[] = [];
    let [files, bytes, copied, sparse, removed] = [0, 0, 0, 0, 0];
    const work = async (file: StoredFile) => ({ file, done: await carry(args, file, folders) });
    for await (const { file, done } of inOrder(
        scanStore(source, args.folders, notes),
        source.machine.isHere ? filesAtOnce : farFilesAtOnce,
        work,
        loadOf(args),
    )) {
        args.signal?.throwIfAborted();
        walk.update(walkLine(file));
        if (done === "gone") continue;
        seen.add(file.path);
        if (done === "changing") {
            // Whatever is in its place now, the next pass has to look at it.
            index.delete(file.path);
            changing.push(file.path);
            continue;
        }
        files++;
        bytes += file.size;
        if (done.copied) copied++;
        if (file.sparse) sparse++;
        digest.add(done.entry);
        args.onFile?.({ files, bytes, copied });
    }
    const gone = (path: string): boolean => !seen.has(path) && args.elsewhere?.has(path) !== true;
    for (const path of [...index.paths()].filter(gone)) {
        await removeBelow(args.targetRoot, path);
        index.delete(path);
        removed++;
    }
    // A machine that ends before this may have files of the index other than they were copied: the final pass reads each, and mends it.
    if (copied > 0) await syncStore(args.targetRoot, args.signal);
    const treeDigest = digest.value();
    return { files, bytes, copied, removed, changing, sparse, notes, treeDigest, seen, walk: walk.digest("hex") };
}

/** What a walk over the source sees, without reading any file: names, sizes and times of change. */
export async function walkDigest({ source, folders }: Pick<CopyPassArgs, "source" | "folders">): Promise<string> {
    const walk = createHash("sha256");
    for await (const file of scanStore(source, folders, newScanNotes())) walk.update(walkLine(file));
    return walk.digest("hex");
}

function walkLine({ path, size, mtime }: StoredFile): string {
    return `${path} ${size} ${mtime}\n`;
}

async function carry(
    { source, targetRoot, index, owner, signal, limit }: CopyPassArgs,
    file: StoredFile,
    folders: HeldFolders,
): Promise<{ entry: IndexEntry; copied: boolean } | "gone" | "changing"> {
    const { path, size, mtime } = file;
    const known = index.get(path);
    const there = sizeOf(join(targetRoot, path));
    if (there === size && known?.size === size && known.mtime === mtime) return { entry: known, copied: false };
    const { files } = source.machine;
    const from = join(source.root, path);
    try {
        if (there === size && known === undefined) {
            // A copy of an earlier run, or one whose line in the index a kill has lost.
            await limit?.pass(size, signal);
            const [theirs, ours] = await Promise.all([
                files.hash(from, signal),
                hashFile(join(targetRoot, path), signal),
            ]);
            if (theirs.sha256 === ours.sha256 && theirs.size === size)
                return { entry: remember(index, { path, size, mtime, sha256: theirs.sha256 }), copied: false };
        }
        const place = { root: targetRoot, path, durable: "later", folders } as const;
        const paced = withLimit(files, size, limit);
        const content = await copyFile(paced, { path: from, size }, place, owner, signal);
        if (content?.size !== size) {
            // Copied whole, but not what the walk saw: the next pass sees it as it is now.
            return "changing";
        }
        return { entry: remember(index, { path, size, mtime, sha256: content.sha256 }), copied: true };
    } catch (error) {
        return explain(error, source, path);
    }
}

/**
 * Of a copy that is there already; undefined where there is none.
 *
 * It is waited for, and not left to a thread: of what is in memory, as after an earlier pass, that would be most of the time.
 */
function sizeOf(path: string): number | undefined {
    try {
        return statSync(path, { throwIfNoEntry: false })?.size;
    } catch {
        return undefined;
    }
}

function remember(index: MediaIndex, entry: IndexEntry): IndexEntry {
    index.set(entry);
    return entry;
}

function explain(error: unknown, { machine, root }: ReadStore, path: string): "gone" | "changing" {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return "gone";
    // Something else is in its place than the file that the walk saw.
    if (code === "EISDIR" || code === "ENXIO" || code === "ELOOP") return "changing";
    const changed = "files were copied; those stay, and are not copied again";
    if (code === "EACCES" || code === "EPERM" || code === "EIO") {
        const found = error instanceof Error ? error.message : code;
        const where = placeOn(machine, join(root, path));
        throw new MigrationError("SM-E0963", { where, found, changed, cause: error });
    }
    throw error;
}
