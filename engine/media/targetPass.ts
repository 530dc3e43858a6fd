/** The end of the final pass: reads every file of the target's store, mends what differs from its copy, puts aside what is not one. */
import { join } from "node:path";
import type { FileFacts } from "../machines/machine.ts";
import { MigrationError } from "../run/errors.ts";
import { exists } from "../run/exists.ts";
import { removeBelow } from "../run/heldDirectory.ts";
import { copyFile, hashFile } from "./copyFile.ts";
import type { IndexEntry } from "./mediaIndex.ts";
import type { CopyPassArgs } from "./sourcePass.ts";
import { newScanNotes } from "./scan.ts";
import { StoreAccess } from "./storeAccess.ts";
import { setAside } from "./targetStore.ts";
import { hashedFiles } from "./treeDigest.ts";
import { TreeList } from "./treeList.ts";

export interface TargetPass {
    readonly treeDigest: string;
    readonly files: number;
    /** Copies that had changed since they were made and were made again. */
    readonly mended: readonly string[];
    /** Files that do not come from the source; now below `.set-aside-<run>` in the store. */
    readonly setAside: readonly string[];
    /** Whether Synapse can use what is there. */
    readonly access: StoreAccess;
}

interface TargetPassRun {
    readonly id: string;
    readonly directory: string;
}

/**
 * @param allFolders  also those that are not carried, as an earlier run may have carried them
 * @throws MigrationError SM-E0963 when a copy does not stay what it was made
 */
export async function targetPass(
    args: CopyPassArgs,
    allFolders: readonly string[],
    run: TargetPassRun,
): Promise<TargetPass> {
    const list = await TreeList.begin(run.directory);
    try {
        return await readCopies(args, allFolders, run.id, list);
    } finally {
        await list.close();
    }
}

async function readCopies(
    args: CopyPassArgs,
    allFolders: readonly string[],
    run: string,
    list: TreeList,
): Promise<TargetPass> {
    const { targetRoot, index, owner, signal } = args;
    const notes = newScanNotes();
    const access = await StoreAccess.of(targetRoot, owner);
    /** Of what was walked over, until it is known whether it stays as it is. */
    const facts = new Map<string, FileFacts>();
    const see = (path: string, found: FileFacts): void => void facts.set(path, found);
    const mended: string[] = [];
    const aside: string[] = [];
    let files = 0;
    for await (const file of hashedFiles(targetRoot, allFolders, notes, signal, see)) {
        const { path } = file;
        const found = facts.get(path);
        facts.delete(path);
        const entry = index.get(path);
        if (entry === undefined) {
            await setAside(targetRoot, path, run);
            aside.push(path);
            continue;
        }
        if (entry.sha256 !== file.sha256) {
            await copyAgain(args, entry);
            const again = await hashFile(join(targetRoot, path), signal);
            if (again.sha256 !== entry.sha256) throw unlike(targetRoot, path, entry.sha256, again.sha256);
            mended.push(path);
        } else if (found !== undefined) access.see(path, found);
        files++;
        await list.add(entry);
    }
    // What is left are directories; some went with what was put aside.
    for (const [path, found] of facts) if (await exists(join(targetRoot, path))) access.see(path, found);
    for (const path of notes.partial) await removeBelow(targetRoot, path);
    if (files !== index.size) {
        throw new MigrationError("SM-E0963", {
            where: targetRoot,
            found: `${files} of ${index.size} copied files are there`,
        });
    }
    return { treeDigest: await list.finish(), files, mended, setAside: aside, access };
}

async function copyAgain({ source, targetRoot, owner, signal, elsewhere }: CopyPassArgs, { path, size }: IndexEntry) {
    const place = { root: targetRoot, path };
    const from = { path: join(source.root, path), size };
    try {
        await copyFile(source.machine.files, from, place, owner, signal);
    } catch (error) {
        const isGone = error instanceof Error && "code" in error && error.code === "ENOENT";
        if (!isGone || elsewhere?.has(path) !== true) throw error;
        await elsewhere.copy(path, place, owner);
    }
}

function unlike(root: string, path: string, expected: string, found: string): MigrationError {
    return new MigrationError("SM-E0963", {
        where: join(root, path),
        found: `SHA-256 ${found}, after it was copied a second time`,
        expected: `SHA-256 ${expected}, which the source's file had`,
        fix: "did the source's file change without its time of change? Else test the disk and the memory of this machine",
        changed: "files were copied; those stay",
    });
}
