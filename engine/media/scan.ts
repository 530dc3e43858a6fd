/** Walks a media store: every file once, in an order that is the same wherever the store is, with the memory of one directory. */
import { join } from "node:path";
import { getSystemErrorMap } from "node:util";
import type { FileFacts, WalkedEntry } from "../machines/machine.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";
import { isStoreName, storeNames } from "./layout.ts";
import { isInStore } from "./linkedFolders.ts";
import type { MediaStore } from "./mediaStore.ts";
import type { ReadStore } from "./readStore.ts";

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
export type SeeEntry = (path: string, facts: FileFacts) => void;

export const newScanNotes = (): ScanNotes => ({ foreign: [], partial: [], caseTwins: 0 });

/** Ends the name of a copy that is not complete. */
export const partialSuffix = ".synapse-migration-partial";

const blockBytes = 512;

/**
 * Yields the regular files of the given folders, each directory's entries sorted by the bytes of their names. Folders that are missing are
 * empty. Entries that vanish during the walk are left out.
 *
 * @param store  folders of it that lie elsewhere are followed in a {@link ReadStore} alone: in a store of ours there are none
 * @param see  told of every entry on the way
 * @throws MigrationError SM-E0963 for what cannot be read, is neither file nor directory, or is a link that leads out of the store
 */
export async function* scanStore(
    store: MediaStore & Partial<ReadStore>,
    folders: readonly string[],
    notes: ScanNotes,
    see: SeeEntry = () => undefined,
): AsyncGenerator<StoredFile> {
    const { machine, root } = store;
    for (const folder of folders) {
        const twins = new CaseTwins(notes);
        let leftOut: string | undefined;
        for await (const entry of machine.files.walk(root, folder, { enters: storeNames })) {
            const { path, facts } = entry;
            if (leftOut !== undefined && path.startsWith(leftOut)) continue;
            leftOut = undefined;
            if (path !== folder && !isCarried(path, notes)) {
                // Whatever is in it, and whatever is wrong with that, is no part of the store.
                leftOut = `${path}/`;
                continue;
            }
            if (path !== folder) twins.see(path);
            refuseUnfit(store, entry);
            see(path, facts);
            if (facts.kind === "file") {
                const { size, mtime, blocks } = facts;
                yield { path, size, mtime, sparse: blocks * blockBytes < size };
            }
        }
    }
}

function isCarried(path: string, notes: ScanNotes): boolean {
    if (path.endsWith(partialSuffix)) notes.partial.push(path);
    else if (!isStoreName(path.slice(path.lastIndexOf("/") + 1))) notes.foreign.push(path);
    else return true;
    return false;
}

/** Counts names that differ only in case, with the memory of the directories above the one that is walked. */
class CaseTwins {
    readonly #notes: ScanNotes;
    readonly #above: { readonly directory: string; readonly names: Set<string> }[] = [];

    constructor(notes: ScanNotes) {
        this.#notes = notes;
    }

    public see(path: string): void {
        const end = path.lastIndexOf("/");
        const directory = path.slice(0, end);
        const name = path.slice(end + 1).toLowerCase();
        while (this.#above.length > 0 && !isAtOrBelow(directory, this.#above.at(-1)?.directory ?? ""))
            this.#above.pop();
        if (this.#above.at(-1)?.directory !== directory) this.#above.push({ directory, names: new Set() });
        const names = this.#above.at(-1)?.names;
        if (names?.has(name) === true) this.#notes.caseTwins++;
        names?.add(name);
    }
}

const isAtOrBelow = (path: string, directory: string): boolean =>
    path === directory || path.startsWith(`${directory}/`);

function refuseUnfit(
    { machine, root, linked = [] }: MediaStore & Partial<ReadStore>,
    { path, facts, linksTo, error }: WalkedEntry,
): void {
    const unfit = (found: string): MigrationError =>
        new MigrationError("SM-E0963", { where: placeOn(machine, join(root, path)), found });
    if (error === "ENOENT") throw unfit("a link that leads nowhere");
    const elsewhere = linked.find(({ folder }) => folder === path);
    const isIn =
        elsewhere === undefined ? linksTo === undefined || isInStore(root, linked, linksTo) : linksTo === elsewhere.to;
    if (!isIn) throw unfit(`a link that leads out of the store, to ${linksTo ?? "nothing"}`);
    if (error === "ELOOP" && facts.kind === "directory") throw unfit("a link leads back to a directory above it");
    if (error !== undefined) throw unfit(`it cannot be read: ${inWords(error)}`);
    if (facts.kind !== "file" && facts.kind !== "directory") throw unfit("it is neither a file nor a directory");
}

/** `EACCES: permission denied` */
function inWords(code: string): string {
    const known = [...getSystemErrorMap().values()].find(([name]) => name === code);
    return known === undefined ? code : known.join(": ");
}
