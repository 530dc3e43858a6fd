/**
 * Puts small files into a store one after the other, as they come: what each needs are calls that take microseconds, and a thread that makes
 * them would take longer to be asked. The folders of the file before stay open, as the next one nearly always lies in some of them.
 */
import {
    constants,
    closeSync,
    fchmodSync,
    fchownSync,
    fstatSync,
    futimesSync,
    lstatSync,
    mkdirSync,
    openSync,
    renameSync,
    rmSync,
    writeSync,
    writevSync,
} from "node:fs";
import { MigrationError } from "../run/errors.ts";
import { hasCode, unfitDirectory, type NewDirectory, type Owner } from "../run/heldDirectory.ts";
import { partialSuffix } from "./scan.ts";

export interface SmallFile {
    /** Relative to the store. */
    readonly path: string;
    readonly content: readonly Buffer[];
    readonly mode: number;
    /** Seconds since 1970. */
    readonly mtime: number;
}

interface Held {
    readonly name: string;
    readonly descriptor: number;
}

const directoryFlags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
const newFileFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** As {@link placeFile} does, no link is followed, whoever makes one meanwhile, and a kill leaves the old file or the new one. */
export class HeldFolders {
    readonly #root: string;
    readonly #make: NewDirectory;
    readonly #owner: Owner | undefined;
    /** The root first. */
    #held: Held[] = [];

    /** @param make  how directories are made that are not there */
    constructor(root: string, make: NewDirectory) {
        this.#root = root;
        this.#make = make;
        this.#owner = make.owner;
    }

    /**
     * Not durable before the file system is synced.
     *
     * @throws MigrationError SM-E1207 when a link is in the way; an error of the system
     */
    public place(file: SmallFile): void {
        try {
            this.#place(file);
        } catch (error) {
            if (!hasCode(error, "ENOENT")) throw error;
            this.#placeAnew(file);
        }
    }

    /** Somebody has removed a folder that is held: another one is made. */
    #placeAnew(file: SmallFile): void {
        this.close();
        try {
            this.#place(file);
        } catch (error) {
            if (!hasCode(error, "ENOENT")) throw error;
            const found = "its folder is removed as often as it is made";
            throw new MigrationError("SM-E0963", { where: `${this.#root}/${file.path}`, found, cause: error });
        }
    }

    public close(): void {
        this.#keep(0);
    }

    #place({ path, content, mode, mtime }: SmallFile): void {
        const names = path.split("/");
        const name = names.pop() ?? "";
        const to = `/proc/self/fd/${this.#folder(names)}/${name}`;
        const partial = `${to}${partialSuffix}`;
        try {
            const file = openNew(partial, mode);
            try {
                writeAll(file, content);
                fchmodSync(file, mode);
                if (this.#owner !== undefined) fchownSync(file, this.#owner.uid, this.#owner.gid);
                // Of its access nothing is known.
                futimesSync(file, mtime, mtime);
            } finally {
                closeSync(file);
            }
            renameSync(partial, to);
        } catch (error) {
            rmSync(partial, { force: true });
            throw error;
        }
    }

    #folder(names: readonly string[]): number {
        const known = names.findIndex((name, at) => this.#held[at + 1]?.name !== name);
        this.#keep(known === -1 ? names.length + 1 : known + 1);
        if (this.#held.length === 0) this.#held.push({ name: "", descriptor: openDirectory(this.#root) });
        for (const name of names.slice(this.#held.length - 1)) this.#held.push({ name, descriptor: this.#open(name) });
        return this.#held.at(-1)?.descriptor ?? -1;
    }

    #open(name: string): number {
        if (name === ".." || name === "") throw unfitDirectory(`${this.#root}/${name}`, "a name that leads elsewhere");
        const place = `/proc/self/fd/${this.#held.at(-1)?.descriptor ?? -1}/${name}`;
        const { mode } = this.#make;
        // Asked for first: an error for each folder that is new would take longer than to make it.
        if (lstatSync(place, { throwIfNoEntry: false }) !== undefined) return this.#owned(openDirectory(place));
        try {
            mkdirSync(place, { mode });
        } catch (error) {
            if (!hasCode(error, "EEXIST")) throw error;
        }
        return this.#owned(openDirectory(place));
    }

    /** A kill may have come between the making of a directory and its change of owner: what it was made for could not use it. */
    #owned(descriptor: number): number {
        try {
            if (this.#owner === undefined) return descriptor;
            const { uid, mode } = fstatSync(descriptor);
            if (uid === process.geteuid?.() && (mode & 0o7777) === this.#make.mode)
                fchownSync(descriptor, this.#owner.uid, this.#owner.gid);
            return descriptor;
        } catch (error) {
            closeSync(descriptor);
            throw error;
        }
    }

    #keep(count: number): void {
        for (const { descriptor } of this.#held.splice(count)) closeSync(descriptor);
    }
}

function openDirectory(path: string): number {
    try {
        return openSync(path, directoryFlags);
    } catch (error) {
        if (!hasCode(error, "ENOTDIR") && !hasCode(error, "ELOOP")) throw error;
        throw unfitDirectory(path, "a link, or something else than a directory", error);
    }
}

function openNew(path: string, mode: number): number {
    try {
        return openSync(path, newFileFlags, mode);
    } catch (error) {
        if (!hasCode(error, "EEXIST")) throw error;
    }
    // Of a pass that was killed.
    rmSync(path);
    return openSync(path, newFileFlags, mode);
}

function writeAll(file: number, content: readonly Buffer[]): void {
    const bytes = content.reduce((sum, { length }) => sum + length, 0);
    if (bytes === 0) return;
    const written = writevSync(file, content);
    if (written === bytes) return;
    const rest = Buffer.concat(content);
    for (let at = written; at < bytes;) at += writeSync(file, rest, at);
}
