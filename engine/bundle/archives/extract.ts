/** Unpacks archives into a new directory: all of them, checked, or nothing. The one way from an archive to files. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import { ArchiveAllowance, type ArchiveLimits } from "./archiveLimits.ts";
import { EntryNames, type ArchiveEntry, type ArchiveKind } from "./archiveEntry.ts";
import { ByteReader, type Bytes } from "../streams/byteReader.ts";
import { HeldStream } from "../streams/heldStream.ts";
import { formatOf, magicBytes } from "../input/magic.ts";
import { headOf } from "../input/inputFiles.ts";
import { openLayers, type OpenedInput, type OpenOptions } from "../input/open.ts";
import { throughStaging, writeNewFile } from "./staging.ts";
import { tarEntries } from "./tarEntries.ts";
import { isLaterPartOfZip, splitZip, withZipEntries } from "./zipEntries.ts";

export interface ExtractOptions extends Omit<OpenOptions, "onBytes"> {
    /** Must not exist; appears when everything was read, checked and written. Its parent must exist. */
    readonly destination: string;
    readonly limits?: ArchiveLimits | undefined;
    /** Tells names that differ only in case or Unicode form apart: for destinations that do so too. */
    readonly exactNames?: boolean | undefined;
    /** Called after each entry with what was unpacked, and the input's bytes read, so far. */
    readonly onProgress?: ((progress: { files: number; bytes: number; inputBytes: number }) => void) | undefined;
    /** Entries it is false for are read and checked, and not written. */
    readonly onEntry?: ((entry: ArchiveEntry) => boolean) | undefined;
}

export interface Extracted {
    /** Files in the archives, whether written or not. */
    readonly files: number;
    /** Their bytes. */
    readonly bytes: number;
    /** What was read: the files of all archives, the layers of the first. */
    readonly input: OpenedInput;
}

/**
 * Unpacks one archive: tar, tar.gz, zip, encrypted or not, from one file or from its parts in their order.
 *
 * @throws MigrationError SM-E0940 to SM-E0946 zip, SM-E0950 to SM-E0956 tar, SM-E0957 destination, SM-E1201 disk, and those of {@link openLayers}
 */
export async function extractArchive(paths: readonly string[], options: ExtractOptions): Promise<Extracted> {
    return extractArchives([paths], options);
}

/** Unpacks a set of independent archives into one directory, as `export-part-1.tgz … export-part-N.tgz`; see {@link extractArchive}. */
export async function extractArchives(
    archives: readonly (readonly string[])[],
    options: ExtractOptions,
): Promise<Extracted> {
    return throughStaging(options.destination, async (staging) => {
        const unpacking = new Unpacking(staging, options);
        const inputs: OpenedInput[] = [];
        for (const paths of archives) inputs.push(await unpacking.take(paths));
        const { files, bytes } = unpacking.allowance;
        const input = { files: inputs.flatMap((opened) => opened.files), layers: inputs[0]?.layers ?? [] };
        return { files, bytes, input };
    });
}

class Unpacking {
    public readonly allowance: ArchiveAllowance;
    private readonly names: EntryNames;
    private readonly staging: string;
    private readonly options: ExtractOptions;
    private inputBytes = 0;

    constructor(staging: string, options: ExtractOptions) {
        this.staging = staging;
        this.options = options;
        this.allowance = new ArchiveAllowance(dirname(resolve(staging)), options.limits);
        this.names = new EntryNames(options.exactNames);
    }

    public async take(paths: readonly string[]): Promise<OpenedInput> {
        const where = paths.join(", ");
        const { stream, finished } = openLayers(paths, {
            ...this.options,
            onBytes: (bytes) => (this.inputBytes += bytes),
        });
        const held = new HeldStream(stream);
        try {
            const reader = new ByteReader(held.rest());
            const format = formatOf(await reader.peek(magicBytes));
            if (format === "zip") return await this.takeZip(paths, reader, finished);
            if (format === "tar" || (format === "unknown" && isZeros(await reader.peek(magicBytes))))
                await this.takeTar(reader, where);
            else
                throw paths.length === 1 && (await isLaterPartOfZip(where))
                    ? splitZip(where)
                    : notAnArchive(where, format);
            return await finished;
        } catch (error) {
            // Damage to a layer shows in the archive first. It is named by the layer that proves it: what is left is read for it.
            throw error instanceof MigrationError && damages.has(error.code) ? await held.failureOr(error) : error;
        } finally {
            await held.close();
        }
    }

    private async takeTar(reader: ByteReader, where: string): Promise<void> {
        for await (const entry of tarEntries(reader.rest(), where)) {
            await this.admit(entry, "tar", this.inputBytes, where);
            if (this.isWanted(entry)) await this.write(entry, entry.content);
            this.report();
        }
    }

    /** A zip archive's directory is at its end: one that does not lie in a file of its own is put into one first. */
    private async takeZip(
        paths: readonly string[],
        reader: ByteReader,
        finished: Promise<OpenedInput>,
    ): Promise<OpenedInput> {
        const where = paths.join(", ");
        const [path] = paths;
        if (paths.length === 1 && path !== undefined && formatOf(await headOf(path)) === "zip") {
            await readThrough(reader.rest());
            await this.unpackZip(path, where);
            return finished;
        }
        const spool = await mkdtemp(join(this.options.workDirectory, "zip-"));
        try {
            const spooled = join(spool, "archive.zip");
            await writeNewFile(spooled, reader.rest());
            const opened = await finished;
            await this.unpackZip(spooled, where);
            return opened;
        } finally {
            await rm(spool, { recursive: true, force: true });
        }
    }

    private async unpackZip(path: string, where: string): Promise<void> {
        const mostEntries = this.options.limits?.entries ?? 1_000_000;
        await withZipEntries(path, { where, mostEntries }, async (entries, fileBytes) => {
            for (const entry of entries) await this.admit(entry, "zip", fileBytes, where);
            for (const entry of entries) {
                this.options.signal?.throwIfAborted();
                if (entry.kind === "directory") await this.write(entry, noBytes());
                else if (this.isWanted(entry)) await this.write(entry, entry.content());
                else await readThrough(entry.content());
                this.report();
            }
        });
    }

    private async admit(entry: ArchiveEntry, archive: ArchiveKind, inputBytes: number, where: string): Promise<void> {
        if (entry.name !== "") this.names.add(entry, archive, where);
        await this.allowance.admit(entry, archive, inputBytes, where);
    }

    private isWanted(entry: ArchiveEntry): boolean {
        return this.options.onEntry?.(entry) ?? true;
    }

    private async write(entry: ArchiveEntry, content: AsyncIterable<Buffer>): Promise<void> {
        const path = join(this.staging, entry.name);
        if (entry.kind === "directory") await mkdir(path, { recursive: true, mode: 0o700 });
        else await writeNewFile(path, content);
    }

    private report(): void {
        const { files, bytes } = this.allowance;
        this.options.onProgress?.({ files, bytes, inputBytes: this.inputBytes });
    }
}

const damages: ReadonlySet<string> = new Set(["SM-E0944", "SM-E0956", "SM-E0958"]);

async function readThrough(content: Bytes): Promise<void> {
    const chunks = content[Symbol.asyncIterator]();
    while ((await chunks.next()).done !== true);
}

async function* noBytes(): AsyncGenerator<Buffer, void> {
    // A directory has none.
}

/** The beginning of an archive without entries. */
function isZeros(head: Buffer): boolean {
    return head.length === magicBytes && head.every((byte) => byte === 0);
}

function notAnArchive(where: string, format: string): MigrationError {
    return new MigrationError("SM-E0958", { where, found: `${format} data`, expected: "tar or zip" });
}
