/** Reads a zip archive: its whole directory is checked before anything of it is unpacked. */
import type { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import { getFileNameLowLevel, openPromise, type Entry, type ZipFile } from "yauzl";
import { MigrationError } from "../../run/errors.ts";
import type { ErrorCode } from "../../run/errorCatalogue.ts";
import { safeName, type ArchiveEntry } from "./archiveEntry.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { headOf } from "../input/inputFiles.ts";

export interface ZipEntry extends ArchiveEntry {
    /** @throws MigrationError SM-E0944 when its checksum or size is not what the archive says */
    readonly content: () => Bytes;
}

/**
 * The entries of a zip archive, with and without zip64, stored or deflated. Its content is read by `work`; the file is closed after it.
 *
 * Every file has a CRC-32. What is not noticed: altered times, attributes of no consequence, comments, and bytes between entries.
 *
 * @throws MigrationError SM-E0940 encrypted, SM-E0941 split, SM-E0943 links, SM-E0944 damage, SM-E0945 more than `mostEntries`, SM-E0946 names
 */
export async function withZipEntries<T>(
    path: string,
    options: { readonly where: string; readonly mostEntries: number },
    work: (entries: readonly ZipEntry[], fileBytes: number) => Promise<T>,
): Promise<T> {
    const { where } = options;
    const zip = await openPromise(path, { autoClose: false, decodeStrings: false }).catch(async (error: unknown) => {
        throw (await isFirstPart(path)) ? splitZip(where) : fromLibrary(error, where);
    });
    try {
        if (zip.entryCount > options.mostEntries)
            throw refused(
                "SM-E0945",
                where,
                `${zip.entryCount} entries`,
                `at most ${options.mostEntries} (limit \`entries\`)`,
            );
        const entries = await listed(zip, where);
        refuseOverlaps(entries, zip.fileSize, where);
        return await work(
            entries.map((entry) => ({
                ...describe(entry, where),
                content: () => contentOf(zip, entry, `${where}: ${nameOf(entry, where)}`),
            })),
            zip.fileSize,
        );
    } finally {
        zip.close();
    }
}

/** Whether this is a part of a split archive but the first: the last one has the directory, and the number of its disk. */
export async function isLaterPartOfZip(path: string): Promise<boolean> {
    try {
        (await openPromise(path)).close();
        return false;
    } catch (error) {
        return error instanceof Error && error.message.startsWith("multi-disk");
    }
}

/** APPNOTE.TXT 8.5.5: the marker of a split archive. */
async function isFirstPart(path: string): Promise<boolean> {
    return (await headOf(path)).subarray(0, 4).toString("hex") === "504b0708";
}

export function splitZip(where: string): MigrationError {
    return refused("SM-E0941", where, "a part of an archive that was split by the zip program", "one file");
}

async function listed(zip: ZipFile, where: string): Promise<Entry[]> {
    const entries: Entry[] = [];
    try {
        for await (const entry of zip.eachEntry()) entries.push(entry);
        return entries;
    } catch (error) {
        throw fromLibrary(error, where);
    }
}

function describe(entry: Entry, where: string): ArchiveEntry {
    const raw = nameOf(entry, where);
    const at = `${where}: ${JSON.stringify(raw.slice(0, 300))}`;
    const name = safeName(raw, "zip", where);
    if (entry.isEncrypted()) throw refused("SM-E0940", at, "an encrypted entry", "an archive without encryption");
    // The upper half holds Unix's file type where the archive was made by a program that knows of it.
    const type = (entry.externalFileAttributes >>> 16) & 0o170000;
    if (![0, 0o100000, 0o040000].includes(type))
        throw refused("SM-E0943", at, `an entry of file type 0${type.toString(8)}`, "files and directories only");
    if (entry.compressionMethod !== 0 && entry.compressionMethod !== 8)
        throw refused("SM-E0944", at, `compression method ${entry.compressionMethod}`, "stored or deflated entries");
    if (raw.endsWith("/")) {
        if (entry.uncompressedSize !== 0) throw damaged(at, `a directory of ${entry.uncompressedSize} bytes`);
        return { name, kind: "directory", bytes: 0 };
    }
    if (type === 0o040000 || name === "") throw damaged(at, "a directory that is named as a file");
    return { name, kind: "file", bytes: entry.uncompressedSize };
}

/** UTF-8, whether the archive says so or, as Info-ZIP's, does not: the code page of any other name cannot be known. */
function nameOf(entry: Entry, where: string): string {
    const { fileNameRaw: raw, extraFields, generalPurposeBitFlag: flags } = entry;
    const isNamedTwice = extraFields.some((field) => field.id === 0x7075);
    const name = isNamedTwice ? getFileNameLowLevel(flags, raw, extraFields, true) : raw.toString("utf8");
    if (name.includes("\uFFFD"))
        throw refused(
            "SM-E0946",
            where,
            `the name ${JSON.stringify(raw.toString("latin1"))} is not UTF-8`,
            "names in UTF-8",
        );
    return name;
}

/** Entries that share their data unpack to many times the size of the archive; no program makes such ones by mistake. */
function refuseOverlaps(entries: readonly Entry[], fileSize: number, where: string): void {
    const ordered = [...entries].sort((a, b) => a.relativeOffsetOfLocalHeader - b.relativeOffsetOfLocalHeader);
    let end = 0;
    for (const entry of ordered) {
        if (entry.relativeOffsetOfLocalHeader < end) throw damaged(where, "entries that lie upon each other");
        end = entry.relativeOffsetOfLocalHeader + 30 + entry.fileNameRaw.length + entry.compressedSize;
    }
    if (end > fileSize) throw damaged(where, "an entry that lies behind the end of the file");
}

async function* contentOf(zip: ZipFile, entry: Entry, at: string): AsyncGenerator<Buffer, void> {
    let stream: Readable | undefined;
    let checksum = 0;
    let bytes = 0;
    try {
        const local = await zip.readLocalFileHeaderPromise(entry, {});
        if (!local.fileName.equals(entry.fileNameRaw))
            throw damaged(at, `named ${JSON.stringify(local.fileName.toString("latin1"))} where its content begins`);
        stream = await zip.openReadStreamPromise(entry);
        for await (const chunk of stream as AsyncIterable<Buffer>) {
            checksum = crc32(chunk, checksum);
            bytes += chunk.length;
            yield chunk;
        }
    } catch (error) {
        throw fromLibrary(error, at);
    } finally {
        stream?.destroy();
    }
    if (bytes !== entry.uncompressedSize) throw damaged(at, `${bytes} bytes instead of ${entry.uncompressedSize}`);
    if (checksum !== entry.crc32) throw damaged(at, "content that does not have the checksum it was given");
}

/** The library's errors have no codes. */
function fromLibrary(error: unknown, where: string): unknown {
    if (!(error instanceof Error) || error instanceof MigrationError) return error;
    if (/^strong encryption/.test(error.message))
        return refused("SM-E0940", where, error.message, "an archive without encryption");
    if (error.message.startsWith("multi-disk")) return splitZip(where);
    if ("syscall" in error || error.name === "AbortError") return error;
    return damaged(where, error.message, error);
}

function damaged(where: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0944", { where, found, expected: "a whole zip archive", cause });
}

function refused(code: ErrorCode, where: string, found: string, expected: string): MigrationError {
    return new MigrationError(code, { where, found, expected });
}
