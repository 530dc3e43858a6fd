/** Digests of specifications and files: they tell one from another, and give no secret away. */
import { createHmac, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { writePrivateFile } from "./atomicFile.ts";
import { lockFile } from "./fileLock.ts";

const isObject = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);

/** Digest of a specification that does not depend on the order of its fields, keyed with a file of the run that is made when missing. */
export async function specDigest(spec: unknown, keyFile: string): Promise<string> {
    return createHmac("sha256", await digestKey(keyFile))
        .update(JSON.stringify(sorted(spec)))
        .digest("hex");
}

/** Digests contents of files as {@link specDigest} does specifications: a file may hold nothing but a short secret. */
export async function contentDigester(keyFile: string): Promise<(content: string | Uint8Array) => string> {
    const key = await digestKey(keyFile);
    return (content) => createHmac("sha256", key).update(content).digest("hex");
}

async function digestKey(path: string): Promise<Buffer> {
    const lock = await lockFile(`${path}.lock`, `process ${process.pid}`, 30);
    try {
        return await readFile(path).catch(async (error: unknown) => {
            if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
            const key = randomBytes(32);
            await writePrivateFile(path, key);
            return key;
        });
    } finally {
        await lock.release();
    }
}

function sorted(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(sorted);
    if (!isObject(value)) return value;
    return Object.fromEntries(
        Object.keys(value)
            .sort()
            .map((key) => [key, sorted(value[key])]),
    );
}
