/** Reads the manifest back out of the parts of an archive that was just written. */
import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { extract } from "tar-stream";
import { MigrationError } from "../../run/errors.ts";
import { manifestName } from "./archiveManifest.ts";

/**
 * @param part  the gzipped tar that holds nothing but `manifest.json`
 * @returns its text
 * @throws MigrationError SM-E0960 when it does not hold it, or is cut short
 */
export async function manifestOfPart(part: string, signal?: AbortSignal): Promise<string> {
    const entries = extract();
    const read = pipeline(createReadStream(part), createGunzip(), entries, signal === undefined ? {} : { signal });
    read.catch(() => undefined);
    try {
        for await (const entry of entries) {
            if (entry.header.name === manifestName) return await text(entry);
            entry.resume();
        }
        await read;
    } catch (cause) {
        signal?.throwIfAborted();
        throw unreadable(part, cause);
    }
    throw unreadable(part, undefined);
}

function unreadable(where: string, cause: unknown): MigrationError {
    return new MigrationError("SM-E0960", {
        where,
        found: cause instanceof Error ? cause.message : `no ${manifestName}`,
        expected: "the manifest that was written into it",
        cause,
    });
}
