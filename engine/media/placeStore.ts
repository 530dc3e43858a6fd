/** Sends a media store to the one of an installed homeserver, and takes back what was sent. */
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { thisMachine } from "../machines/local/localMachine.ts";
import type { Machine, PutOptions } from "../machines/machine.ts";
import { placeOn } from "../machines/placeOn.ts";
import { removePrivateFile, writePrivateFile } from "../run/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { hasCode } from "../run/heldDirectory.ts";
import { readTrusted } from "../run/trustedFile.ts";
import { inOrder } from "./inOrder.ts";
import { carriedFolders } from "./layout.ts";
import { namedAtMost } from "./mediaChecks.ts";
import { newScanNotes } from "./scan.ts";
import { filesAtOnce, hashedFiles, TreeDigest, type HashedFile } from "./treeDigest.ts";

export interface PlacedStore {
    readonly machine: Machine;
    /** Real path of the store there. */
    readonly root: string;
    /** Of the store here. */
    readonly from: string;
    /** Of the records of what was there. */
    readonly directory: string;
    /** `early`: its homeserver may still run. `final`: nothing else writes there, and every file is hashed where it is. */
    readonly pass: "early" | "final";
    readonly signal?: AbortSignal | undefined;
}

export interface PlacedFiles {
    readonly files: number;
    readonly bytes: number;
    readonly sent: number;
    /** As of the store here. */
    readonly treeDigest: string;
}

/** All that Synapse makes in a store. What else is there (a configuration, logs) is not looked at, and never removed. */
const synapsesFolders = [...carriedFolders("carry"), "url_cache", "url_cache_thumbnails"];
/** As of a store that is made here. */
const modes = { mode: 0o640, folderMode: 0o750 };

/**
 * What is there already and is the same stays; what is missing is sent, with its time of change, as a file of whoever owns the store.
 *
 * @throws MigrationError SM-E1604 for another file under one of the names, SM-E0963 where a file is not what was sent
 */
export async function placeStore(store: PlacedStore): Promise<PlacedFiles> {
    const { machine, root, from, signal } = store;
    const owner = await machine.files.stat(root);
    if (owner === undefined) throw new Error(`the store ${root} is gone`);
    await keepListing(store);
    const how = { ...modes, owner: { uid: owner.uid, gid: owner.gid } };
    const digest = new TreeDigest();
    const foreign: string[] = [];
    let [files, bytes, sent] = [0, 0, 0];
    const local = hashedFiles(from, carriedFolders("carry"), newScanNotes(), signal);
    const placed = inOrder(local, filesAtOnce, async (file) => ({ file, outcome: await placeFile(store, file, how) }));
    for await (const { file, outcome } of placed) {
        digest.add(file);
        files++;
        bytes += file.size;
        if (outcome === "sent") sent++;
        if (outcome === "another") foreign.push(file.path);
    }
    if (foreign.length > 0)
        throw new MigrationError("SM-E1604", {
            where: placeOn(machine, root),
            found: [...foreign.slice(0, namedAtMost), ...(foreign.length > namedAtMost ? [`and more`] : [])].join("\n"),
            expected: "no file under these names, or the same one",
            changed: "other files were sent; those stay, and are not sent again",
        });
    return { files, bytes, sent, treeDigest: digest.value() };
}

async function placeFile(
    { machine, root, from, directory, pass }: PlacedStore,
    { path, size, sha256 }: HashedFile,
    how: Omit<PutOptions, "mtime">,
): Promise<"there" | "sent" | "another"> {
    const there = join(root, path);
    const found = await machine.files.lstat(there);
    const isSame = async (): Promise<boolean> => (await machine.files.hash(there)).sha256 === sha256;
    if (found !== undefined)
        return found.kind === "file" && found.size === size && (await isSame()) ? "there" : "another";
    // Before it is there: what a kill leaves is ours, too.
    if (pass === "early") await appendFile(earlyList(directory), `${path}\n`, { mode: 0o600 });
    const facts = await thisMachine.files.stat(join(from, path));
    await machine.files.put(join(from, path), root, path, { ...how, mtime: facts?.mtime ?? "0" });
    if (pass === "early" || (await isSame())) return "sent";
    throw new MigrationError("SM-E0963", {
        where: placeOn(machine, there),
        found: "another content than what was sent",
        expected: sha256,
        changed: "files were sent; those stay, and are not sent again",
    });
}

/** Takes back what a pass has sent, and what was made there since: of the final pass all that was not there when it began. */
export async function takeBackPlaced(store: Omit<PlacedStore, "from">): Promise<number> {
    const { machine, root, directory, pass } = store;
    const before = await linesOf(listingFile(directory, pass));
    if (before === undefined) return 0;
    const sent = pass === "early" ? ((await linesOf(earlyList(directory))) ?? new Set()) : undefined;
    const now = await listing(store);
    const gone = now.files.filter((path) => !before.has(path) && (sent?.has(path) ?? true));
    for (const path of gone) await machine.files.discard(root, path);
    for (const folder of now.folders
        .filter((path) => !before.has(`${path}/`))
        .sort()
        .reverse())
        await machine.files.discard(root, folder).catch((error: unknown) => {
            // Of a homeserver that runs, others may be in it.
            if (!["ENOTEMPTY", "EEXIST"].some((code) => hasCode(error, code))) throw error;
        });
    if (pass === "early") await removePrivateFile(earlyList(directory));
    await removePrivateFile(listingFile(directory, pass));
    return gone.length;
}

const earlyList = (directory: string): string => join(directory, "placed-early.txt");
const listingFile = (directory: string, pass: PlacedStore["pass"]): string =>
    join(directory, `store-before-${pass}.txt`);

async function linesOf(file: string): Promise<Set<string> | undefined> {
    const text = await readTrusted(file);
    return text === undefined ? undefined : new Set(text.split("\n").filter((line) => line !== ""));
}

/** What is in the store before anything is sent to it, folders with a slash. */
async function keepListing(store: PlacedStore): Promise<void> {
    const file = listingFile(store.directory, store.pass);
    if ((await readTrusted(file)) !== undefined) return;
    const { files, folders } = await listing(store);
    await writePrivateFile(file, [...files, ...folders.map((path) => `${path}/`), ""].join("\n"));
}

async function listing({ machine, root, signal }: Pick<PlacedStore, "machine" | "root" | "signal">) {
    const [files, folders]: [string[], string[]] = [[], []];
    for (const folder of synapsesFolders) {
        // What a link leads to is no part of the store: Synapse's user may make one, and we are root.
        let link: string | undefined;
        for await (const { path, facts, linksTo } of machine.files.walk(root, folder, { signal })) {
            if (link !== undefined && path.startsWith(`${link}/`)) continue;
            link = linksTo === undefined ? undefined : path;
            (facts.kind === "directory" && linksTo === undefined ? folders : files).push(path);
        }
    }
    return { files, folders };
}
