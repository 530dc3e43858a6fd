/** A directory that appears whole or not at all. */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import type { Bytes } from "../streams/byteReader.ts";

/**
 * Has `work` fill a directory beside the destination, which gets the destination's name only when the work has succeeded. Otherwise it is
 * removed; one that a killed process left behind is named `.<name>.incoming-<random>`.
 *
 * @throws MigrationError SM-E0957 when the destination is there already
 */
export async function throughStaging<T>(destination: string, work: (staging: string) => Promise<T>): Promise<T> {
    const final = resolve(destination);
    await refuseExisting(final);
    const staging = join(dirname(final), `.${basename(final)}.incoming-${randomBytes(6).toString("hex")}`);
    await mkdir(staging, { mode: 0o700 });
    try {
        const result = await work(staging);
        await refuseExisting(final);
        await rename(staging, final);
        return result;
    } catch (error) {
        await rm(staging, { recursive: true, force: true });
        throw error;
    }
}

async function refuseExisting(path: string): Promise<void> {
    const found = await lstat(path).catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
        throw error;
    });
    if (found === undefined) return;
    throw new MigrationError("SM-E0957", { where: path, found: "it exists", expected: "a new directory" });
}

/** Writes a new file of mode 0600, in directories that it makes, and returns its size in bytes. */
export async function writeNewFile(path: string, content: Bytes): Promise<number> {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
    const file = await open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
    let bytes = 0;
    try {
        for await (const chunk of content) {
            await writeAll(file, chunk);
            bytes += chunk.length;
        }
    } finally {
        await file.close();
    }
    return bytes;
}

/** A write may take less than it was given. */
export async function writeAll(
    file: { write: (b: Buffer) => Promise<{ bytesWritten: number }> },
    chunk: Buffer,
): Promise<void> {
    for (let rest = chunk; rest.length > 0;) rest = rest.subarray((await file.write(rest)).bytesWritten);
}
