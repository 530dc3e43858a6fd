/** Walks a media store: every file once, in an order that is the same wherever the store is, with the memory of one directory. */
import type { BigIntStats } from "node:fs";
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import { join } from "node:path";
import { MigrationError } from "../run/errors.ts";
import { isStoreName } from "./layout.ts";
import { isInStore, type LinkedFolder } from "./linkedFolders.ts";

export interface StoredFile {
    /** Relative to the store, with slashes. */
    readonly path: string;
    readonly size: number;
    /** Nanoseconds since 1970, as decimal digits. */
    readonly mtime: string;
    /** Whether it has fewer blocks than bytes: a file system that compresses, or a file with holes. */
    readonly sparse: boolean;
}

/** What is found on the way that is not carried, or worth knowing. Filled while the walk goes on. */
export interface ScanNotes {
    /** Entries with names that Synapse never gives. */
    readonly foreign: string[];
    /** Partial copies of an earlier pass that was killed. */
    readonly partial: string[];
    /** Names that differ from another one in the same directory only in case: usual, as media ids are random. */
    caseTwins: number;
}

/** Told of every file and directory of Synapse's names, the directories before what is in them. */
export type SeeEntry = (path: string, facts: BigIntStats) => void;

export const newScanNotes = (): ScanNotes => ({ foreign: [], partial: [], caseTwins: 0 });

/** Ends the name of a copy that is not complete. */
export const partialSuffix = ".synapse-migration-partial";

const blockBytes = 512n;

/**
 * The real path of a media store. The store itself may be a link; links in it must stay in it.
 *
 * @throws MigrationError SM-E0963 when it is missing or no directory
 */
export async function storeRoot(directory: string): Promise<string> {
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0963", { where: directory, found, expected: "the directory of a media store", cause });
    const found = await stat(directory).catch((error: unknown) => {
        throw refuse(`it cannot be read: ${reason(error)}`, error);
    });
    if (!found.isDirectory()) throw refuse("it is not a directory");
    return realpath(directory);
}

/**
 * Yields the regular files of the given folders, each directory's entries sorted by the bytes of their names. Folders that are missing are
 * empty. Entries that vanish during the walk are left out.
 *
 * @param root  as {@link storeRoot} gives it
 * @throws MigrationError SM-E0963 for what cannot be read, is neither file nor directory, or is a link that leads out of the store
 */
export async function* scanStore(
    root: string,
    folders: readonly string[],
    notes: ScanNotes,
    { see = () => undefined, linked = [] }: ScanOptions = {},
): AsyncGenerator<StoredFile> {
    for (const folder of folders) yield* walk({ root, notes, see, linked }, folder, []);
}

export interface ScanOptions {
    /** Told of every entry on the way. */
    readonly see?: SeeEntry | undefined;
    /** Of a source: folders that lie elsewhere. In a store of ours none is followed. */
    readonly linked?: readonly LinkedFolder[] | undefined;
}

interface Walk {
    readonly root: string;
    readonly notes: ScanNotes;
    readonly see: SeeEntry;
    readonly linked: readonly LinkedFolder[];
}

async function* walk(place: Walk, path: string, above: readonly string[]): AsyncGenerator<StoredFile> {
    const { root, notes } = place;
    const facts = await entryFacts(place, path);
    if (facts === undefined) return;
    place.see(path, facts);
    if (facts.isFile()) {
        yield {
            path,
            size: Number(facts.size),
            mtime: facts.mtimeNs.toString(),
            sparse: facts.blocks * blockBytes < facts.size,
        };
        return;
    }
    if (!facts.isDirectory()) throw unfit(root, path, "it is neither a file nor a directory");
    const identity = `${facts.dev}:${facts.ino}`;
    if (above.includes(identity)) throw unfit(root, path, "a link leads back to a directory above it");
    const names = (await readable(root, path, () => readdir(join(root, path)))) ?? [];
    const lowerCase = new Set<string>();
    for (const name of names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))) {
        if (name.endsWith(partialSuffix)) notes.partial.push(`${path}/${name}`);
        else if (!isStoreName(name)) notes.foreign.push(`${path}/${name}`);
        else {
            if (lowerCase.has(name.toLowerCase())) notes.caseTwins++;
            lowerCase.add(name.toLowerCase());
            yield* walk(place, `${path}/${name}`, [...above, identity]);
        }
    }
}

async function entryFacts({ root, linked }: Walk, path: string): Promise<BigIntStats | undefined> {
    const elsewhere = linked.find(({ folder }) => folder === path);
    if (elsewhere !== undefined) return readable(root, path, () => stat(elsewhere.to, { bigint: true }));
    const own = await readable(root, path, () => lstat(join(root, path), { bigint: true }));
    if (own?.isSymbolicLink() !== true) return own;
    const target = await readable(root, path, () => realpath(join(root, path)));
    if (target === undefined) throw unfit(root, path, "a link that leads nowhere");
    if (!isInStore(root, linked, target)) throw unfit(root, path, `a link that leads out of the store, to ${target}`);
    return readable(root, path, () => stat(target, { bigint: true }));
}

/** Undefined for what is not there. */
async function readable<T>(root: string, path: string, read: () => Promise<T>): Promise<T | undefined> {
    try {
        return await read();
    } catch (error) {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw unfit(root, path, `it cannot be read: ${reason(error)}`, error);
    }
}

function unfit(root: string, path: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0963", { where: join(root, path), found, cause });
}

function reason(error: unknown): string {
    return error instanceof Error ? error.message : String(error);
}
