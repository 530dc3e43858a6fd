/** Locks that end with the process that holds them, however it ends. */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { MigrationError } from "./errors.ts";

export interface FileLock {
    release(): Promise<void>;
}

/**
 * Takes an exclusive `flock(2)` on a file, which is made when it is missing.
 *
 * The lock belongs to the open file, not to this process: flock(1) gets the descriptor, locks it and ends; the lock stays until our
 * descriptor is closed, at the latest by the kernel. Node has no call for it.
 *
 * @param holder  written into the file for whoever finds it locked
 * @throws MigrationError SM-E0706 when another process still holds it after the given time; names the holder
 */
export async function lockFile(path: string, holder: string, waitSeconds: number): Promise<FileLock> {
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
        if (!(await flock(file, waitSeconds))) {
            const found = (await file.readFile("utf8")).trim();
            throw new MigrationError("SM-E0706", {
                where: path,
                found:
                    found === ""
                        ? "the lock is held; its holder has not said who it is"
                        : `the lock is held by ${found}`,
                expected: `the lock to become free within ${waitSeconds} s`,
            });
        }
        await file.truncate(0);
        await file.write(`${holder}\n`, 0);
    } catch (error) {
        await file.close();
        throw error;
    }
    return { release: () => file.close() };
}

const lockedByAnother = 75;

function flock(file: FileHandle, waitSeconds: number): Promise<boolean> {
    const options = ["--exclusive", "--timeout", String(waitSeconds), "--conflict-exit-code", String(lockedByAnother)];
    return new Promise((resolve, reject) => {
        const child = spawn("flock", [...options, "3"], { stdio: ["ignore", "ignore", "ignore", file.fd] });
        child.once("error", reject);
        child.once("exit", (code, signal) => {
            if (code === 0) resolve(true);
            else if (code === lockedByAnother) resolve(false);
            else reject(new Error(`flock ended with ${code === null ? String(signal) : `exit code ${code}`}`));
        });
    });
}
