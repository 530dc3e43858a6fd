/** The files that a tree digest stands for, kept in the run directory: so that a digest that differs later can be told by its files. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, readFile, rename, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { namedAtMost } from "./mediaChecks.ts";
import { TreeDigest, treeLine, type HashedFile } from "./treeDigest.ts";

/** Bytes of lines that are written at once. */
const blockBytes = 64 * 1024;

const listPath = (runDirectory: string): string => join(runDirectory, "media-tree.txt");

/** What a pass has seen of a store, line by line as {@link TreeDigest} takes it: the SHA-256 of the file is the tree digest. */
export class TreeList {
    private readonly digest = new TreeDigest();
    private unwritten = "";
    private readonly path: string;
    private readonly file: FileHandle;

    private constructor(path: string, file: FileHandle) {
        this.path = path;
        this.file = file;
    }

    /** Begins a list. The one of an earlier pass stays until {@link finish}. */
    public static async begin(runDirectory: string): Promise<TreeList> {
        const path = listPath(runDirectory);
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
        return new TreeList(path, await open(`${path}.new`, flags, 0o600));
    }

    public async add(file: HashedFile): Promise<void> {
        this.digest.add(file);
        this.unwritten += treeLine(file);
        if (this.unwritten.length >= blockBytes) await this.write();
    }

    /** @returns the tree digest */
    public async finish(): Promise<string> {
        await this.write();
        await this.file.sync();
        await rename(`${this.path}.new`, this.path);
        return this.digest.value();
    }

    public async close(): Promise<void> {
        await this.file.close();
    }

    private async write(): Promise<void> {
        const lines = this.unwritten;
        this.unwritten = "";
        await this.file.appendFile(lines);
    }
}

/**
 * What a store has other than when its digest was made.
 *
 * @param expected  the digest
 * @param found  lines of {@link treeLine} by path
 * @returns undefined when no list of that digest is kept, as by a pass of an earlier version
 */
export async function describeTreeDifference(
    runDirectory: string,
    expected: string,
    found: ReadonlyMap<string, string>,
): Promise<string | undefined> {
    const text = await readFile(listPath(runDirectory), "utf8").catch(() => "");
    if (createHash("sha256").update(text).digest("hex") !== expected) return undefined;
    const differences: string[] = [];
    const copied = new Set<string>();
    for (const line of text.split("\n").slice(0, -1)) {
        const path = line.slice(line.lastIndexOf(" ") + 1);
        copied.add(path);
        const now = found.get(path);
        if (now === undefined) differences.push(`${path} is missing`);
        else if (now !== `${line}\n`) differences.push(`${path} is altered`);
    }
    for (const path of found.keys()) if (!copied.has(path)) differences.push(`${path} is one too many`);
    const more = differences.length - namedAtMost;
    return [...differences.slice(0, namedAtMost), ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
}
