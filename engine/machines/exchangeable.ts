/** Whether another user can put something else in the place of a path, while root works there. */
import { lstat, realpath } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { ServiceUser } from "./serviceUser.ts";

/**
 * Looks at every directory above the path: whoever may write one can put another directory in, or a link to one of root's.
 * A directory of a third user's is that user's to give, as are all files in it.
 *
 * @param path  its parent is there
 * @returns the directory that the user may write, and why; undefined when there is none
 */
export async function exchangeableBy(
    path: string,
    user: Pick<ServiceUser, "uid" | "gid">,
): Promise<{ readonly directory: string; readonly reason: string } | undefined> {
    let inIt = basename(path);
    for (let directory = await realpath(dirname(path)); ; directory = dirname(directory)) {
        const { uid, gid, mode } = await lstat(directory);
        const sticky = (mode & 0o1000) !== 0;
        if (uid === user.uid || ((mode & (gid === user.gid ? 0o022 : 0o002)) !== 0 && !sticky)) {
            const owned = `mode ${(mode & 0o7777).toString(8)}, owner ${uid}, group ${gid}`;
            return { directory, reason: `${owned}: user ${user.uid} can exchange ${inIt} in it` };
        }
        if (directory === dirname(directory)) return undefined;
        inIt = basename(directory);
    }
}
