/** A media store that is read, and never written to: a source's, wherever its folders lie. */
import type { Machine } from "../machines/machine.ts";
import { linkedFolders, type LinkedFolder } from "./linkedFolders.ts";
import { storeRoot, type MediaStore } from "./mediaStore.ts";

export interface ReadStore extends MediaStore {
    /** Folders of it that lie elsewhere. */
    readonly linked: readonly LinkedFolder[];
}

/**
 * @param folders  those that will be read
 * @throws MigrationError SM-E0963 as {@link storeRoot} and {@link linkedFolders}
 */
export async function openStore(machine: Machine, directory: string, folders: readonly string[]): Promise<ReadStore> {
    const store = { machine, root: await storeRoot(machine, directory) };
    return { ...store, linked: await linkedFolders(store, folders) };
}
