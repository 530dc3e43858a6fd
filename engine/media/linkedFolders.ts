/**
 * Top-level folders of a source's media store that an administrator has put on another disk, with a link in their place:
 *
 *     media_store/local_content -> /mnt/big/local_content
 *
 * These are followed, and become plain folders in the target. Links deeper in the store must stay in it, as Synapse's user may make them.
 */
import { join, sep } from "node:path";
import { placeOn } from "../machines/placeOn.ts";
import { undefinedUnlessLost } from "../machines/unlessLost.ts";
import { MigrationError } from "../run/errors.ts";
import type { MediaStore } from "./mediaStore.ts";

export interface LinkedFolder {
    /** Of the store, for example `local_content`. */
    readonly folder: string;
    /** Real path of the directory that it leads to, which is out of the store. */
    readonly to: string;
}

/**
 * Whoever can write into the store can make links there, and we may be root: a link is followed when it is root's or ours, or leads to what
 * is the store's owner's already.
 *
 * @param folders  those that will be read
 * @throws MigrationError SM-E0963 for one that leads to no directory, to one that the store lies in, or to what is not its maker's
 */
export async function linkedFolders(
    { machine, root }: MediaStore,
    folders: readonly string[],
): Promise<LinkedFolder[]> {
    const { files } = machine;
    const linked: LinkedFolder[] = [];
    for (const folder of folders) {
        const path = join(root, folder);
        const own = await files.lstat(path).catch(undefinedUnlessLost);
        if (own?.kind !== "link") continue;
        const refuse = (found: string): MigrationError => unfit(placeOn(machine, path), found);
        const to = await files.realpath(path).catch(undefinedUnlessLost);
        if (to === undefined) throw refuse("a link that leads nowhere");
        // Within the store it is a link like any other.
        if (to.startsWith(root + sep)) continue;
        if (root === to || root.startsWith(to === sep ? sep : to + sep))
            throw refuse(`a link to ${to}, which the store lies in`);
        const found = await files.stat(to);
        if (found?.kind !== "directory") throw refuse(`a link to ${to}, which is no directory`);
        const isTrusted = own.uid === 0 || own.uid === (await machine.userId());
        if (!isTrusted && found.uid !== (await files.stat(root))?.uid)
            throw refuse(`a link of user ${own.uid} to ${to}, which belongs to user ${found.uid}`);
        linked.push({ folder, to });
    }
    return linked;
}

/** Whether a real path is in the store, or in a folder of it that lies elsewhere. */
export function isInStore(root: string, linked: readonly LinkedFolder[], real: string): boolean {
    return [root, ...linked.map(({ to }) => to)].some((place) => real.startsWith(place + sep));
}

/** For people. */
export const saidOfLinks = (linked: readonly LinkedFolder[]): string =>
    linked.map(({ folder, to }) => `${folder} lies in ${to}`).join(", ");

function unfit(where: string, found: string): MigrationError {
    const fix = "is the disk mounted that it leads to? Else put the folder there itself, or have root make the link";
    return new MigrationError("SM-E0963", { where, found, fix });
}
