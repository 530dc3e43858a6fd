/** One pass over the source's media store: copies what is new or changed, and takes away what it had copied and is gone. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { createHash } from "node:crypto";
import { MigrationError } from "../run/errors.ts";
import { removeBelow } from "../run/heldDirectory.ts";
import { copyFile, hashFile, type FileContent, type Owner, type StorePlace } from "./copyFile.ts";
import { inOrder } from "./inOrder.ts";
import type { LinkedFolder } from "./linkedFolders.ts";
import type { IndexEntry, MediaIndex } from "./mediaIndex.ts";
import { newScanNotes, scanStore, type ScanNotes, type StoredFile } from "./scan.ts";
import { filesAtOnce, TreeDigest } from "./treeDigest.ts";

export interface CopyPassArgs {
    /** Real paths. */
    readonly sourceRoot: string;
    readonly targetRoot: string;
    readonly folders: readonly string[];
    /** Of them, those of the source that lie elsewhere. */
    readonly linked: readonly LinkedFolder[];
    readonly index: MediaIndex;
    readonly owner: Owner | undefined;
    readonly signal?: AbortSignal;
    /** What the homeserver keeps besides its store; absent where there is nothing else. */
    readonly elsewhere?: MediaElsewhere | undefined;
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

/** Safe to repeat, and to kill: files that are copied already are not copied again. */
export async function copyPass(args: CopyPassArgs): Promise<CopyPass> {
    const { index } = args;
    const notes = newScanNotes();
    const digest = new TreeDigest();
    const walk = createHash("sha256");
    const seen = new Set<string>();
    const changing: string[] = [];
    let [files, bytes, copied, sparse, removed] = [0, 0, 0, 0, 0];
    const work = async (file: StoredFile) => ({ file, done: await carry(args, file) });
    for await (const { file, done } of inOrder(
        scanStore(args.sourceRoot, args.folders, notes, { linked: args.linked }),
        filesAtOnce,
        work,
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
    const treeDigest = digest.value();
    return { files, bytes, copied, removed, changing, sparse, notes, treeDigest, seen, walk: walk.digest("hex") };
}

/** What a walk over the source sees, without reading any file: names, sizes and times of change. */
export async function walkDigest({
    sourceRoot,
    folders,
    linked,
}: Pick<CopyPassArgs, "sourceRoot" | "folders" | "linked">): Promise<string> {
    const walk = createHash("sha256");
    for await (const file of scanStore(sourceRoot, folders, newScanNotes(), { linked })) walk.update(walkLine(file));
    return walk.digest("hex");
}

function walkLine({ path, size, mtime }: StoredFile): string {
    return `${path} ${size} ${mtime}\n`;
}

async function carry(
    { sourceRoot, targetRoot, index, owner, signal }: CopyPassArgs,
    file: StoredFile,
): Promise<{ entry: IndexEntry; copied: boolean } | "gone" | "changing"> {
    const { path, size, mtime } = file;
    const known = index.get(path);
    const there = await stat(join(targetRoot, path)).catch(() => undefined);
    if (there?.size === size && known?.size === size && known.mtime === mtime) return { entry: known, copied: false };
    try {
        if (there?.size === size && known === undefined) {
            // A copy of an earlier run, or one whose line in the index a kill has lost.
            const [source, target] = await Promise.all(
                [sourceRoot, targetRoot].map((root) => hashFile(join(root, path), signal)),
            );
            if (source !== undefined && source.sha256 === target?.sha256 && source.size === size) {
                return { entry: remember(index, { path, size, mtime, sha256: source.sha256 }), copied: false };
            }
        }
        const content = await copyFile(join(sourceRoot, path), { root: targetRoot, path }, owner, signal);
        if (content?.size !== size) {
            // Copied whole, but not what the walk saw: the next pass sees it as it is now.
            return "changing";
        }
        return { entry: remember(index, { path, size, mtime, sha256: content.sha256 }), copied: true };
    } catch (error) {
        return explain(error, sourceRoot, path);
    }
}

function remember(index: MediaIndex, entry: IndexEntry): IndexEntry {
    index.set(entry);
    return entry;
}

function explain(error: unknown, sourceRoot: string, path: string): "gone" {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT") return "gone";
    const changed = "files were copied; those stay, and are not copied again";
    if (code === "EACCES" || code === "EPERM" || code === "EIO") {
        const found = error instanceof Error ? error.message : code;
        throw new MigrationError("SM-E0963", { where: join(sourceRoot, path), found, changed, cause: error });
    }
    throw error;
}
