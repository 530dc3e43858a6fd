/** Directories for runs in tests: not below the temporary ones, where a run refuses to keep anything. */
import { randomBytes } from "node:crypto";
import { mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");

/** A path that does not exist yet, in a directory of our own. */
export async function newWorkDirectory(): Promise<string> {
    const parent = join(cache, "synapse-migration", "test-runs");
    await mkdir(parent, { recursive: true, mode: 0o700 });
    return join(parent, randomBytes(8).toString("hex"));
}

/** Runs the test with a work directory and removes it, however the test ends. */
export async function withWorkDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
    const directory = await newWorkDirectory();
    try {
        return await work(directory);
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}
