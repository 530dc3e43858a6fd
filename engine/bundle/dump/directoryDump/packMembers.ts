/** One of several archives that members of a dump go into as they are complete: read, compressed, packed, removed. */
import { open, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { Pack } from "tar-stream";
import { addFile } from "../../archives/packDirectory.ts";
import { compressMember, type Compression } from "./memberCompression.ts";
import type { MemberQueue } from "./memberQueue.ts";
import { MemberReading, type MemberRows } from "./memberRows.ts";
import { packing } from "../../archives/packing.ts";

export interface PackedMember {
    /** With the ending of its compression. */
    readonly name: string;
    /** Before compression. */
    readonly bytes: number;
    /** Undefined for the table of contents. */
    readonly rows: MemberRows | undefined;
}

export interface PackMembersOptions {
    /** That pg_dump writes to. */
    readonly directory: string;
    /** In the archive. */
    readonly folder: string;
    readonly compression: Compression;
    readonly signal: AbortSignal;
    readonly onMember: (member: PackedMember) => void;
}

/** The table of contents in pg_dump's directory format; written last. */
export const contentsName = "toc.dat";
const readBytes = 512 * 1024;

/**
 * A tar archive of as many members as this one gets of the queue. Each is read and compressed at the same time, then packed and removed; the
 * table of contents stays.
 *
 * @throws MigrationError SM-E0906 for a member that is not as pg_dump writes it, SM-E1101 when it cannot be compressed; what the queue throws
 */
export function packMembers(queue: MemberQueue, options: PackMembersOptions): AsyncGenerator<Buffer, void> {
    return packing((archive) => fill(archive, queue, options));
}

async function fill(archive: Pack, queue: MemberQueue, options: PackMembersOptions): Promise<void> {
    const { directory, folder, compression, signal, onMember } = options;
    for (let name = await queue.take(); name !== undefined; name = await queue.take()) {
        const path = join(directory, name);
        const { size } = await stat(path);
        const [rows, packed] = await Promise.all([
            name === contentsName ? undefined : rowsOf(path, name, signal),
            compressMember(path, compression, signal),
        ]);
        await addFile(archive, `${folder}/${basename(packed)}`, packed);
        if (packed !== path) await rm(packed);
        if (name !== contentsName) await rm(path);
        onMember({ name: basename(packed), bytes: size, rows });
    }
}

/** Into the same buffer again and again: a new one for each read is what this process would spend most of its memory and a fifth of its time on. */
async function rowsOf(path: string, name: string, signal: AbortSignal): Promise<MemberRows> {
    const reading = new MemberReading(name);
    const buffer = Buffer.allocUnsafe(readBytes);
    const file = await open(path, "r");
    try {
        for (;;) {
            signal.throwIfAborted();
            const { bytesRead } = await file.read(buffer, 0, readBytes, null);
            if (bytesRead === 0) return reading.finish();
            reading.take(buffer.subarray(0, bytesRead));
        }
    } finally {
        await file.close();
    }
}
