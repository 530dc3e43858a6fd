/** A tar archive as a stream, while it is filled. */
import { pack, type Pack } from "tar-stream";
import type { Bytes } from "../streams/byteReader.ts";

/**
 * The bytes of an archive that `fill` adds entries to. Its failure is thrown to whoever reads, and a reader who stops ends the archive.
 *
 * @param fill  adds the entries; the end of the archive is written after it
 */
export async function* packing(fill: (archive: Pack) => Promise<void>): AsyncGenerator<Buffer, void> {
    const archive = pack();
    const filling = fill(archive).then(() => archive.finalize());
    filling.catch((error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))));
    try {
        for await (const chunk of archive as Bytes) yield chunk;
        await filling;
    } finally {
        archive.destroy();
    }
}
