/** Writes a stream to one file or to parts of it, which get their names when all is written. */
import { createHash, type Hash } from "node:crypto";
import { constants } from "node:fs";
import { open, rename, rm, lstat, type FileHandle } from "node:fs/promises";
import { dirname } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import type { Bytes } from "../streams/byteReader.ts";
import type { FileDigest } from "../input/inputFiles.ts";
import { suffixOf } from "../input/partNames.ts";
import { writeAll } from "../archives/staging.ts";

interface OpenPart {
    readonly path: string;
    readonly file: FileHandle;
    readonly hash: Hash;
    bytes: number;
}

const incoming = ".incoming";

/**
 * Writes the stream to `path`, or to `path.part-aa`, `path.part-ab`, … of `partBytes` each, as `split --bytes` does. Files are of mode 0600,
 * on disk when this returns, and named `….incoming` until then; none is left when it fails.
 *
 * @throws MigrationError SM-E0957 when a file is there already; what the stream throws
 */
export async function writeParts(input: Bytes, path: string, partBytes = Infinity): Promise<FileDigest[]> {
    const done: FileDigest[] = [];
    let part: OpenPart | undefined;
    try {
        part = await begin(path, 0, partBytes);
        for await (const chunk of input) {
            for (let rest = chunk; rest.length > 0;) {
                if (part.bytes === partBytes) {
                    done.push(await finish(part));
                    part = await begin(path, done.length, partBytes);
                }
                const now = rest.subarray(0, Math.min(rest.length, partBytes - part.bytes));
                await writeAll(part.file, now);
                part.hash.update(now);
                part.bytes += now.length;
                rest = rest.subarray(now.length);
            }
        }
        done.push(await finish(part));
        for (const written of done) await rename(`${written.path}${incoming}`, written.path);
        await syncDirectory(dirname(path));
        return done;
    } catch (error) {
        await part?.file.close().catch(() => undefined);
        const paths = [...done.map((written) => written.path), ...(part === undefined ? [] : [part.path])];
        for (const written of paths) await rm(`${written}${incoming}`, { force: true });
        throw error;
    }
}

async function begin(whole: string, number: number, partBytes: number): Promise<OpenPart> {
    const path = partBytes === Infinity ? whole : `${whole}.part-${suffixOf(number)}`;
    const existing = await lstat(path).catch(() => undefined);
    if (existing !== undefined)
        throw new MigrationError("SM-E0957", { where: path, found: "it exists", expected: "a new file" });
    const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
    const file = await open(`${path}${incoming}`, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0o600);
    await file.chmod(0o600);
    return { path, file, hash: createHash("sha256"), bytes: 0 };
}

async function finish({ path, file, hash, bytes }: OpenPart): Promise<FileDigest> {
    await file.sync();
    await file.close();
    return { path, bytes, sha256: hash.digest("hex") };
}

async function syncDirectory(path: string): Promise<void> {
    const directory = await open(path, "r");
    await directory.sync();
    await directory.close();
}
