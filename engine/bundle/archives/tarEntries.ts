/** Reads a tar archive as a stream: its headers in their order, up to an end that must be there. */
import { extract, type Extract } from "tar-stream";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { safeName, type ArchiveEntry } from "./archiveEntry.ts";
import { ByteReader, type Bytes } from "../streams/byteReader.ts";
import { drained } from "../streams/drained.ts";

export interface TarEntry extends ArchiveEntry {
    /** To be read before the next entry is asked for. */
    readonly content: Bytes;
}

/** What the parser tells of an entry; its published types leave out half of it. */
const parsedHeader = z.object({
    /** With what pax and GNU headers say of it. */
    name: z.string(),
    /** Null for what the parser does not know. */
    type: z.string().nullable(),
    size: z.number(),
    /** Where the content begins, from the beginning of the archive. */
    byteOffset: z.number(),
    linkname: z.string().nullable(),
    pax: z.record(z.string(), z.unknown()).nullable(),
});
type Header = z.infer<typeof parsedHeader>;

const block = 512;
const zeros = Buffer.alloc(block);
const readBytes = 128 * 1024;

/**
 * The files and directories of a tar archive: version 7, ustar, pax and GNU.
 *
 * Tar has no checksum but of its headers: altered content, and altered long names of pax, are not noticed here. What is: a header that
 * was altered, an archive that is cut off anywhere, an end in its middle.
 *
 * @throws MigrationError SM-E0950 names, SM-E0951 links, SM-E0952 devices, SM-E0953 other kinds, SM-E0956 damage
 */
export async function* tarEntries(input: Bytes, where: string): AsyncGenerator<TarEntry, void> {
    const options = { allowUnknownFormat: true, highWaterMark: readBytes };
    const parser = extract(options);
    const ends = new TarEnds();
    const feeding = feed(new ByteReader(input), parser, ends);
    feeding.catch((error: unknown) => parser.destroy(error instanceof Error ? error : new Error(String(error))));
    let failure: Error | undefined;
    parser.on("error", (error) => (failure = error));
    const closed = new Promise<void>((resolve) => void parser.once("close", () => resolve()));
    /** An entry in the middle of which the archive ends only says that it was destroyed; the parser says why. */
    const contentOf = async function* (stream: Bytes): AsyncGenerator<Buffer, void> {
        try {
            yield* stream;
        } catch (error) {
            await closed;
            throw documented(failure ?? error, where);
        }
    };
    try {
        for await (const stream of parser) {
            const header = parsedHeader.parse(stream.header);
            const gap = ends.beginEntry(header);
            if (gap !== undefined) throw damaged(where, gap);
            const { kind, bytes } = admissible(header, where);
            const name = safeName(header.name, "tar", where);
            if (name === "" && kind === "file") throw damaged(where, "a file without a name");
            yield { name, kind, bytes, content: contentOf(stream as Bytes) };
            stream.resume();
        }
        await feeding;
    } catch (error) {
        throw documented(error, where);
    } finally {
        parser.destroy();
    }
    const problem = ends.problem();
    if (problem !== undefined) throw damaged(where, problem);
}

function admissible(header: Header, where: string): Pick<ArchiveEntry, "kind" | "bytes"> {
    const { type, name, pax, size: bytes } = header;
    const at = `${where}: ${JSON.stringify(name.slice(0, 300))}`;
    if (Object.keys(pax ?? {}).some((key) => key.startsWith("GNU.sparse.")))
        throw new MigrationError("SM-E0953", { where: at, found: "a sparse file", expected: "a plain file" });
    if (type === "directory") {
        if (bytes !== 0) throw damaged(at, `a directory of ${bytes} bytes`);
        return { kind: "directory", bytes: 0 };
    }
    if (type === "file" || type === "contiguous-file") return { kind: "file", bytes };
    if (type === "link" || type === "symlink")
        throw new MigrationError("SM-E0951", {
            where: at,
            found: `a ${type === "link" ? "hard" : "symbolic"} link to ${JSON.stringify(header.linkname ?? "")}`,
            expected: "files and directories only",
        });
    if (type === "fifo" || type === "block-device" || type === "character-device")
        throw new MigrationError("SM-E0952", { where: at, found: `a ${type}`, expected: "files and directories only" });
    throw new MigrationError("SM-E0953", {
        where: at,
        found: "a sparse file, or an entry of a kind that POSIX does not know",
        expected: "files and directories only",
    });
}

/** Where entries end and zeros stand: the parser skips over zeros, so that an archive that is cut off between entries looks whole. */
class TarEnds {
    private total = 0;
    private entryEnd = 0;
    private runs: { readonly from: number; to: number }[] = [];

    /** Notes the next bytes, which begin at a multiple of 512. */
    public see(chunk: Buffer): void {
        for (let at = 0; at + block <= chunk.length; at += block) {
            const from = this.total + at;
            if (from < this.entryEnd || zeros.compare(chunk, at, at + block) !== 0) continue;
            const last = this.runs.at(-1);
            if (last?.to === from) last.to += block;
            else this.runs.push({ from, to: from + block });
        }
        this.total += chunk.length;
    }

    /** What is wrong with the place where an entry begins. */
    public beginEntry(header: Header): string | undefined {
        const previousEnd = this.entryEnd;
        const begin = header.byteOffset - block;
        const isAfterEnd = this.isZero(previousEnd);
        // A pax header or a long name stands before its entry; a name of a multiple of 512 bytes ends in a block of zeros.
        const lost = begin > previousEnd && this.isZero(begin - block) && Buffer.byteLength(header.name) % block !== 0;
        this.entryEnd = begin + block + Math.ceil(header.size / block) * block;
        this.runs = this.runs.filter((run) => run.to > this.entryEnd);
        return isAfterEnd || lost
            ? `an end of the archive before ${JSON.stringify(header.name.slice(0, 300))}`
            : undefined;
    }

    /** What is wrong with the end of the archive. */
    public problem(): string | undefined {
        if (this.entryEnd === 0 && this.total === 0) return "it is empty";
        const [run] = this.runs.slice(-1);
        const from = Math.max(run?.from ?? this.total, this.entryEnd);
        if (from === this.entryEnd && run?.to === this.total && this.total - from >= 2 * block) return undefined;
        return "it does not have its end: two blocks of zeros behind the last entry";
    }

    private isZero(at: number): boolean {
        return this.runs.some((run) => run.from <= at && at < run.to);
    }
}

async function feed(input: ByteReader, parser: Extract, ends: TarEnds): Promise<void> {
    for (;;) {
        const chunk = await input.take(readBytes);
        if (chunk.length === 0) break;
        if (parser.destroyed) return;
        ends.see(chunk);
        if (!parser.write(chunk)) await drained(parser);
    }
    parser.end(null);
}

/** The errors of tar-stream have no codes, but texts. */
function documented(error: unknown, where: string): unknown {
    const isDamage =
        error instanceof Error &&
        /^(Invalid (tar )?header|Unexpected end of data|Header exceeds max size)/.test(error.message);
    return isDamage ? damaged(where, error.message, error) : error;
}

function damaged(where: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0956", { where, found, expected: "a whole tar archive", cause });
}
