/** Folders of a store that are held open between two files in them: thousands of a store's files lie below one, which four names lead to. */
import { basename, dirname } from "node:path";
import { holdBelow, holdIn, type HeldDirectory, type NewDirectory } from "../run/heldDirectory.ts";

/** A walk goes from one to the next, while some files of those before are still being written. */
const heldAtOnce = 16;

interface Folder {
    readonly held: Promise<HeldDirectory>;
    users: number;
}

/** Their descriptors stay those of the directories that were there first, as {@link holdBelow} found them: not through a link. */
export class HeldFolders {
    readonly #root: string;
    readonly #make: NewDirectory;
    /** The one that was used last comes last. */
    readonly #folders = new Map<string, Folder>();

    /** @param make  how directories are made that are not there */
    constructor(root: string, make: NewDirectory) {
        this.#root = root;
        this.#make = make;
    }

    /** Works in a directory below the root; it is closed after that, and what it lies in is not. */
    public async in<T>(path: string, work: (directory: HeldDirectory) => Promise<T>): Promise<T> {
        const folder = this.#folder(dirname(path));
        folder.users++;
        try {
            const directory = await holdIn(await folder.held, basename(path), this.#make);
            try {
                return await work(directory);
            } finally {
                await directory.close();
            }
        } finally {
            folder.users--;
            await this.#close(heldAtOnce);
        }
    }

    public async close(): Promise<void> {
        await this.#close(0);
    }

    #folder(path: string): Folder {
        const folder = this.#folders.get(path) ?? { held: holdBelow(this.#root, path, this.#make), users: 0 };
        this.#folders.delete(path);
        this.#folders.set(path, folder);
        // What could not be opened is not kept; whoever waits for it is told.
        folder.held.catch(() => {
            if (this.#folders.get(path) === folder) this.#folders.delete(path);
        });
        return folder;
    }

    async #close(kept: number): Promise<void> {
        for (const [path, folder] of this.#folders) {
            if (this.#folders.size <= kept) return;
            if (folder.users > 0) continue;
            this.#folders.delete(path);
            await (await folder.held).close();
        }
    }
}
