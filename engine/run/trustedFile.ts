/** Reads records that only root, or we ourselves, can have written: what a service user put in their place is not one. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { MigrationError } from "./errors.ts";
import { hasCode } from "./heldDirectory.ts";

/** Longer than any record of ours. */
const longestRecord = 16 * 1024 * 1024;

/**
 * @param others  user ids that are believed besides
 * @returns undefined when there is none
 * @throws MigrationError SM-E1207 when it is a link, no file, has a second name, or others own it or may write it
 */
export async function readTrusted(path: string, others: readonly number[] = []): Promise<string | undefined> {
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E1207", {
            where: path,
            found,
            expected: `a file of user id ${process.geteuid?.() ?? 0}, which nobody else may write`,
            cause,
        });
    let file;
    try {
        // A named pipe in its place would else be waited for without end.
        file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    } catch (error) {
        if (hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR")) return undefined;
        if (hasCode(error, "ELOOP")) throw refuse("a symbolic link", error);
        throw error;
    }
    try {
        const found = await file.stat();
        const { uid, mode, nlink, size } = found;
        if (!found.isFile()) throw refuse("something else than a file");
        if (![process.geteuid?.() ?? 0, 0, ...others].includes(uid)) throw refuse(`it belongs to user id ${uid}`);
        if ((mode & 0o022) !== 0) throw refuse(`others may write it (mode 0${(mode & 0o777).toString(8)})`);
        if (nlink > 1) throw refuse("it has a second name");
        if (size > longestRecord) throw refuse(`it has ${size} bytes`);
        return await file.readFile("utf8");
    } finally {
        await file.close();
    }
}
