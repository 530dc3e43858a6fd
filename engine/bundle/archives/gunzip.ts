/** Decompresses gzip strictly: every member whole, its checksum and size right, and nothing behind the last one. */
import { createInflateRaw, crc32, type InflateRaw } from "node:zlib";
import { MigrationError } from "../../run/errors.ts";
import { ByteReader } from "../streams/byteReader.ts";

const flag = { headerChecksum: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 };
const longestName = 64 * 1024;
const outputBytes = 256 * 1024;

/**
 * The content of a gzip file of one or more members (RFC 1952).
 *
 * Node's own gunzip ends quietly where a chunk happens to end behind a member, and takes zeros behind the last one: a concatenation may
 * lose members, so the members are told apart here. What no checksum of gzip covers, and does not change the content either: the
 * time, the flags for speed, the system and the name in a member's header.
 *
 * @param where  how errors name the file
 * @throws MigrationError SM-E0910
 */
export async function* gunzip(input: ByteReader, where: string): AsyncGenerator<Buffer, void> {
    for (let member = 1; ; member++) {
        const head = await input.peek(2);
        if (head.length === 0 && member > 1) return;
        if (head[0] !== 0x1f || head[1] !== 0x8b)
            throw damaged(where, member === 1 ? "it does not begin as gzip does" : await describeGarbage(input));
        await skipHeader(input, where);
        yield* inflateMember(input, where);
    }
}

async function* inflateMember(input: ByteReader, where: string): AsyncGenerator<Buffer, void> {
    let checksum = 0;
    let size = 0;
    for await (const chunk of inflate(input, where)) {
        checksum = crc32(chunk, checksum);
        size = (size + chunk.length) % 2 ** 32;
        yield chunk;
    }
    const trailer = await input.take(8);
    if (trailer.length < 8) throw damaged(where, `it ends within its trailer: ${trailer.length} of 8 bytes are there`);
    if (trailer.readUInt32LE(0) !== checksum)
        throw damaged(where, "its content does not have the checksum it was given");
    if (trailer.readUInt32LE(4) !== size) throw damaged(where, "its content does not have the size it was given");
}

/** The deflated data, up to its end; what follows stays in the reader. */
async function* inflate(input: ByteReader, where: string): AsyncGenerator<Buffer, void> {
    const inflater = createInflateRaw({ chunkSize: outputBytes });
    const feeding = feed(input, inflater, where);
    feeding.catch((error: unknown) => inflater.destroy(error instanceof Error ? error : new Error(String(error))));
    try {
        for await (const chunk of inflater as AsyncIterable<Buffer>) yield chunk;
        await feeding;
    } catch (error) {
        if (error instanceof Error && "code" in error && String(error.code).startsWith("Z_"))
            throw damaged(where, `its compressed data is damaged: ${error.message}`, error);
        throw error;
    } finally {
        inflater.destroy();
    }
}

async function feed(input: ByteReader, inflater: InflateRaw, where: string): Promise<void> {
    let fed = 0;
    for (;;) {
        const chunk = await input.next();
        if (chunk === undefined) throw damaged(where, "it ends before the end of its compressed data");
        await new Promise<void>((resolve) => void inflater.write(chunk, () => resolve()));
        if (inflater.destroyed && !inflater.readableEnded) return;
        // The engine leaves alone what is behind the end of the data.
        const unused = fed + chunk.length - inflater.bytesWritten;
        if (unused > 0) {
            input.putBack(chunk.subarray(chunk.length - unused));
            return;
        }
        fed += chunk.length;
    }
}

async function skipHeader(input: ByteReader, where: string): Promise<void> {
    const short = (): MigrationError => damaged(where, "it ends within a header");
    const header = await input.take(10);
    const [, , method, flags = 0] = header;
    if (header.length < 10) throw short();
    if (method !== 8) throw damaged(where, `it names compression method ${method ?? 0}, which does not exist`);
    if ((flags & flag.reserved) !== 0) throw damaged(where, "its header sets flags that do not exist");
    let checksum = crc32(header);
    const skip = async (bytes: number): Promise<Buffer> => {
        const part = await input.take(bytes);
        if (part.length < bytes) throw short();
        checksum = crc32(part, checksum);
        return part;
    };
    if ((flags & flag.extra) !== 0) await skip((await skip(2)).readUInt16LE(0));
    for (const text of [flag.name, flag.comment]) {
        if ((flags & text) === 0) continue;
        const end = (await input.peek(longestName)).indexOf(0);
        if (end < 0) throw damaged(where, "a name in its header does not end");
        await skip(end + 1);
    }
    if ((flags & flag.headerChecksum) === 0) return;
    const expected = checksum & 0xffff;
    if ((await skip(2)).readUInt16LE(0) !== expected)
        throw damaged(where, "a header does not have the checksum it was given");
}

async function describeGarbage(input: ByteReader): Promise<string> {
    const garbage = await input.peek(64 * 1024);
    const amount = garbage.length < 64 * 1024 ? `${garbage.length} bytes` : "64 KiB or more";
    const kind = garbage.every((byte) => byte === 0) ? " of zeros" : "";
    return `behind its end there are ${amount}${kind} that are not gzip`;
}

function damaged(where: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0910", { where, found, expected: "whole gzip data and nothing behind it", cause });
}
