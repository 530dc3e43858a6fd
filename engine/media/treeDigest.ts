/** One digest for all carried files of a media store. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { thisMachine } from "../machines/local/localMachine.ts";
import type { FileContent } from "../machines/machine.ts";
import { hashFile } from "./copyFile.ts";
import { inOrder } from "./inOrder.ts";
import { scanStore, type ScanNotes, type SeeEntry } from "./scan.ts";

/** Enough to keep a disk busy, few enough for a machine with two cores. */
export const filesAtOnce = 8;

export interface HashedFile extends FileContent {
    readonly path: string;
}

/** Collects the lines `<sha-256> <size> <relative path>` in the order of the walk. */
export class TreeDigest {
    private readonly hash = createHash("sha256");

    public add(file: HashedFile): void {
        this.hash.update(treeLine(file));
    }

    /** Lower-case hexadecimal. */
    public value(): string {
        return this.hash.copy().digest("hex");
    }
}

export const treeLine = ({ path, size, sha256 }: HashedFile): string => `${sha256} ${size} ${path}\n`;

/** Reads every file of a store of this machine to its end. */
export function hashedFiles(
    root: string,
    folders: readonly string[],
    notes: ScanNotes,
    signal?: AbortSignal,
    see?: SeeEntry,
): AsyncGenerator<HashedFile> {
    return inOrder(scanStore({ machine: thisMachine, root }, folders, notes, see), filesAtOnce, async ({ path }) => ({
        path,
        ...(await hashFile(join(root, path), signal)),
    }));
}
