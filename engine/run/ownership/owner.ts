/** Who a work directory is: what its runs leave at source and target as their owner, whatever they are called. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { hostname, userInfo } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { writePrivateFile } from "../atomicFile.ts";
import { exists } from "../exists.ts";
import { lockFile } from "../fileLock.ts";
import { hasCode } from "../heldDirectory.ts";

export const owner = z.strictObject({
    /**
     * Drawn once for a work directory, and lost with it: two stacks that move the same homeserver have the same run ids, and the same
     * path may be on two hosts.
     */
    id: z.string().regex(/^[0-9a-f]{32}$/),
    host: z.string(),
    user: z.string(),
    /** Where all its runs are kept. */
    directory: z.string(),
});
export type Owner = z.infer<typeof owner>;

const lockWaitSeconds = 30;

const ownerFile = (runsDirectory: string): string => join(runsDirectory, "owner.json");

/** Undefined where no run has acted yet, or where the directory was lost and made anew. */
export async function readOwner(runsDirectory: string): Promise<Owner | undefined> {
    const text = await readFile(ownerFile(runsDirectory), "utf8").catch((error: unknown) => {
        if (hasCode(error, "ENOENT")) return undefined;
        throw error;
    });
    return text === undefined ? undefined : owner.parse(JSON.parse(text));
}

/** The owner that the directory is; made at the first call, by one of those that call at the same time. */
export async function ensureOwner(runsDirectory: string): Promise<Owner> {
    const found = await readOwner(runsDirectory);
    if (found !== undefined) return found;
    const drawn = newOwner(runsDirectory);
    return (await writeOnce(ownerFile(runsDirectory), drawn)) ? drawn : ensureOwner(runsDirectory);
}

/** Makes the directory the owner that is given: of what another one has left. */
export async function becomeOwner(runsDirectory: string, given: Owner): Promise<void> {
    await writePrivateFile(ownerFile(runsDirectory), json(owner.parse(given)));
}

export function newOwner(runsDirectory: string): Owner {
    return { id: randomBytes(16).toString("hex"), ...thisPlace(runsDirectory) };
}

/** Whether the owner's work directory was the one at this path of this host. */
export function wasHere(found: Owner, runsDirectory: string): boolean {
    return found.directory === runsDirectory && found.host === hostname();
}

/** For people: "the stack production, work directory /var/lib/… of root@host". */
export function describeOwner({ host, user, directory }: Owner, stack: string | undefined): string {
    const named = stack === undefined ? "" : `the stack ${stack}, `;
    return `${named}work directory ${directory} of ${user}@${host}`;
}

/**
 * Writes a file that must not be there yet, whole. Of those that try at the same time one writes it; a kill leaves it there or not.
 *
 * @returns false when it is there already
 */
export async function writeOnce(path: string, value: object): Promise<boolean> {
    const lock = await lockFile(`${path}.lock`, `process ${process.pid}, writing ${path}`, lockWaitSeconds);
    try {
        if (await exists(path)) return false;
        await writePrivateFile(path, json(value));
        return true;
    } finally {
        await lock.release();
    }
}

export const json = (value: object): string => `${JSON.stringify(value, null, 1)}\n`;

function thisPlace(directory: string): Omit<Owner, "id"> {
    return { host: hostname(), user: userInfo().username, directory };
}
