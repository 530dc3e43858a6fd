/** How single members of a dump are compressed: small ones not at all, others by the zstd program, or by gzip where there is none. */
import { createReadStream, createWriteStream } from "node:fs";
import { stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { isOnPath } from "../../../machines/onPath.ts";
import { runProgram } from "../../../machines/program.ts";
import { MigrationError } from "../../../run/errors.ts";
import { ByteReader, type Bytes } from "../../streams/byteReader.ts";
import { gunzip } from "../../archives/gunzip.ts";
import { lastLines } from "../../gpg/gpgStatus.ts";
import { streamProgram } from "../../streams/streamProgram.ts";

export type Compression = "zstd" | "gzip";

/** Its fastest level: a quarter of gzip's time for a smaller file. Its output has a checksum of the content. */
const zstdLevel = "-1";
const gzipLevel = 1;
/** Below this, starting a program takes longer than what it saves. */
const smallestCompressed = 32 * 1024;
const longestSeconds = 24 * 3600;
const stallSeconds = 600;
const chunkSize = 256 * 1024;

/** What compresses here. */
export async function availableCompression(): Promise<Compression> {
    return (await isOnPath("zstd")) ? "zstd" : "gzip";
}

/**
 * Compresses a file into one beside it, which gets the ending `.zst` or `.gz`. The file stays.
 *
 * @returns the path of what is to be kept: the file itself when it is small
 */
export async function compressMember(path: string, compression: Compression, signal: AbortSignal): Promise<string> {
    if ((await stat(path)).size < smallestCompressed) return path;
    if (compression === "zstd") {
        const compressed = `${path}.zst`;
        const args = ["--quiet", "--force", zstdLevel, "-o", compressed, "--", path];
        await runProgram("zstd", args, { timeoutSeconds: longestSeconds, signal });
        return compressed;
    }
    const compressed = `${path}.gz`;
    await pipeline(
        createReadStream(path, { highWaterMark: chunkSize }),
        createGzip({ level: gzipLevel, chunkSize }),
        createWriteStream(compressed, { mode: 0o600 }),
        { signal },
    );
    return compressed;
}

/** The name of a member without the ending of its compression: as pg_restore looks for it. */
export const plainNameOf = (member: string): string => member.replace(/\.(zst|gz)$/, "");

/**
 * What a member holds.
 *
 * @param member  its name, whose ending tells how it was compressed
 * @throws MigrationError SM-E0906 when zstd finds damage, SM-E0910 when gzip does, SM-E1180 when there is no zstd program
 */
export async function* decompressed(
    member: string,
    content: Bytes,
    signal?: AbortSignal,
): AsyncGenerator<Buffer, void> {
    if (member.endsWith(".gz")) yield* gunzip(new ByteReader(content), member);
    else if (member.endsWith(".zst")) {
        await requireZstd();
        yield* streamProgram("zstd", ["--decompress", "--quiet", "--stdout"], {
            ...{ input: content, secret: "", stallSeconds, signal },
            judge: (end) => {
                if (end.exitCode === 0) return;
                throw new MigrationError("SM-E0906", {
                    where: member,
                    found: `zstd ended with ${end.exitCode ?? end.endedBy ?? "nothing"}${lastLines(end)}`,
                    expected: "data that zstd decompresses to its end",
                });
            },
        });
    } else yield* content;
}

/** @throws MigrationError SM-E1180 */
async function requireZstd(): Promise<void> {
    if (await isOnPath("zstd")) return;
    throw new MigrationError("SM-E1180", {
        where: "PATH",
        found: "no zstd, which the dump was compressed with",
        expected: "the zstd program",
        fix: "run: apt-get install zstd",
    });
}
