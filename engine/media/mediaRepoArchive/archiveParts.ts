/** Writes the parts of a media archive: gzipped tars, each begun when the one before it is full. */
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { pack, type Pack } from "tar-stream";

/** As matrix-media-repo names them. */
const partName = (part: number): string => `export-part-${part}.tgz`;
const manifestPartName = "export-manifest.tgz";

/** Most media is compressed already. */
const compressionLevel = 1;
const fileMode = 0o644;

/** Milliseconds since 1970: later times come out negative (tar-stream, headers.js). */
const latestTime = 0x7fffffff * 1000;

export interface ArchiveFile {
    readonly name: string;
    readonly sizeBytes: number;
    /** Milliseconds since 1970. */
    readonly mtime: number;
    /** Exactly as many bytes. */
    readonly content: AsyncIterable<Buffer> | NodeJS.ReadableStream;
}

interface Part {
    readonly tar: Pack;
    readonly written: Promise<void>;
    bytes: number;
}

export class ArchiveParts {
    /** Names of the files written so far, in their order. */
    public readonly names: string[] = [];
    private current: Part | undefined;
    private readonly directory: string;
    private readonly partBytes: number;
    private readonly signal: AbortSignal | undefined;

    /**
     * @param directory  exists, and holds no parts
     * @param partBytes  content of a part before compression; a file that is longer gets a part of its own
     */
    constructor(directory: string, partBytes: number, signal: AbortSignal | undefined) {
        this.directory = directory;
        this.partBytes = partBytes;
        this.signal = signal;
    }

    public async add(file: ArchiveFile): Promise<void> {
        if (this.current !== undefined && this.current.bytes + file.sizeBytes > this.partBytes) await this.close();
        this.current ??= await this.begin(partName(this.names.length + 1));
        this.current.bytes += file.sizeBytes;
        await this.write(this.current, file);
    }

    /** Ends the last part, and writes the manifest into one of its own. */
    public async finish(manifest: ArchiveFile): Promise<void> {
        await this.close();
        this.current = await this.begin(manifestPartName);
        await this.write(this.current, manifest);
        await this.close();
    }

    /** Gives up the part that is being written. */
    public async abandon(): Promise<void> {
        const part = this.current;
        this.current = undefined;
        part?.tar.destroy();
        await part?.written.catch(() => undefined);
    }

    private async begin(name: string): Promise<Part> {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        const file = await open(join(this.directory, name), flags, 0o600);
        this.names.push(name);
        const tar = pack();
        const gzip = createGzip({ level: compressionLevel });
        const written = pipeline(tar, gzip, file.createWriteStream({ flush: true }), {
            ...(this.signal === undefined ? {} : { signal: this.signal }),
        });
        // Looked at when the part is closed; until then a failure is not an unhandled one.
        written.catch(() => undefined);
        return { tar, written, bytes: 0 };
    }

    private async write(part: Part, { name, sizeBytes, mtime, content }: ArchiveFile): Promise<void> {
        // Sizes of 8 GiB and more are written in base 256, which GNU tar, Go and libarchive read.
        const entry = part.tar.entry({
            name,
            mode: fileMode,
            size: sizeBytes,
            mtime: new Date(Math.min(Math.max(mtime, 0), latestTime)),
        });
        const copied = pipeline(content, entry);
        copied.catch(() => undefined);
        // A disk that is full stops the reading of the tar for good.
        await Promise.race([copied, part.written.then(() => copied)]);
    }

    private async close(): Promise<void> {
        const part = this.current;
        if (part === undefined) return;
        part.tar.finalize();
        await part.written;
        this.current = undefined;
    }
}
