/** Reads artefacts the way the steps do, and tells what was read from what should have been. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openDump } from "../../engine/bundle/dump/openDump.ts";
import { readOpened } from "../../engine/bundle/dump/readOpened.ts";
import { checkMediaArchive } from "../../engine/media/mediaRepoArchive/readArchive.ts";
import { brokenMedia, checkCompleteness, type MediaRow, type ThumbnailRow } from "../../engine/media/completeness.ts";
import type { FileContent } from "../../engine/media/copyFile.ts";
import { localFolders } from "../../engine/media/layout.ts";
import { newScanNotes } from "../../engine/media/scan.ts";
import { hashedFiles, TreeDigest } from "../../engine/media/treeDigest.ts";
import { unpackMedia } from "../../engine/media/unpackMedia.ts";
import { refuseAlteredArchive } from "../../engine/postgres/pgDump/dumpArchive.ts";
import { dumpDirectory, readManifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { inspectPlainDump } from "../../engine/postgres/plainDump/inspect.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { copySqliteDatabase } from "../../engine/sqlite/privateCopy.ts";
import { isSqlite, openSqlite } from "../../engine/sqlite/openSqlite.ts";
import { passphrase } from "../engine/bundle/fixtures.ts";
import { serverName, type OwnDump, type SourceDatabase } from "./sourceDatabase.ts";
import { contentOfSqlite, parseSqliteContent } from "./sqliteDatabase.ts";
import { judgeSql, judgeTaken, withoutRows } from "./sqlText.ts";
import { benign, found, missed, type Verdict } from "./verdict.ts";

const progress = lineProgress("sweep", () => undefined, redact);

/** Milliseconds; an unharmed dump takes a tenth of a second. What takes longer hangs. */
const longestTry = 10_000;

/** The SQL text that a dump in whatever format stands for, as the import reads it. */
export async function sqlOf(path: string, work: string, source: SourceDatabase): Promise<Buffer> {
    const opened = await openDump([path], {
        ...{ passphrase, workDirectory: work, clientDirectory: source.programs, progress },
        signal: AbortSignal.timeout(longestTry),
    });
    try {
        const chunks: Buffer[] = [];
        const kept = async function* (stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void> {
            for await (const chunk of stream) {
                chunks.push(Buffer.from(chunk));
                yield chunk;
            }
        };
        await readOpened(opened, (stream) => inspectPlainDump(kept(stream)));
        return Buffer.concat(chunks);
    } finally {
        await opened.close();
    }
}

/** What the reader takes is given to PostgreSQL, without the rows, before it is called missed: as the import would. */
export async function readDump(path: string, work: string, whole: Buffer, source: SourceDatabase): Promise<Verdict> {
    const read = await sqlOf(path, work, source);
    const verdict = judgeSql(whole, read);
    if (verdict.kind !== "missed") return verdict;
    const refusal = await source.refusalOf(withoutRows(read));
    return refusal === undefined ? (judgeTaken(whole, read) ?? verdict) : found(`PostgreSQL ${refusal}`);
}

export async function readSqlite(path: string, work: string, whole: string, source: SourceDatabase): Promise<Verdict> {
    const opening = { passphrase, workDirectory: work };
    if (!(await isSqlite([path], opening))) return readDump(path, work, Buffer.alloc(0), source);
    const { file } = await openSqlite([path], { ...opening, directory: work });
    const destination = join(work, "copy.db");
    await copySqliteDatabase({ database: file, destination, python: source.python });
    const read = await contentOfSqlite(destination, source.python);
    if (JSON.stringify(read) === whole) return benign;
    const expected = parseSqliteContent(whole);
    const sameCounts = JSON.stringify(read.counts) === JSON.stringify(expected.counts);
    if (read.schema === expected.schema && sameCounts) return { kind: "undetectable", what: "content of a row" };
    return missed(read.schema === expected.schema ? "another number of rows" : "other definitions of tables");
}

/** What a media store is said to hold by the database. */
export interface StoreRows {
    readonly media: readonly MediaRow[];
    readonly thumbnails: readonly ThumbnailRow[];
    /** Of all files. */
    readonly digest: string;
}

export async function readStore(path: string, work: string, rows: StoreRows): Promise<Verdict> {
    const { kind, directory } = await unpackMedia([path], { passphrase, workDirectory: work, progress });
    if (kind !== "store") return missed("another kind of media");
    const files = new Map<string, FileContent>();
    const digest = new TreeDigest();
    for await (const file of hashedFiles(directory, localFolders, newScanNotes())) {
        files.set(file.path, file);
        digest.add(file);
    }
    const completeness = await checkCompleteness({
        media: each(rows.media),
        thumbnails: each(rows.thumbnails),
        file: (name) => files.get(name),
        paths: () => files.keys(),
    });
    const { missing, resized } = completeness.thumbnails;
    if (brokenMedia(completeness).count > 0) return found("media: SHA-256, length or file");
    if (missing.count + resized.count > 0) return found("media: thumbnail's length or file");
    if (digest.value() === rows.digest) return benign;
    return { kind: "undetectable", what: "content of a thumbnail, which Synapse makes anew" };
}

async function* each<Item>(items: readonly Item[]): AsyncGenerator<Item> {
    for (const item of items) yield await Promise.resolve(item);
}

/** The items of a matrix-media-repo archive, as one text. */
export async function mediaItems(paths: readonly string[], work: string): Promise<string> {
    const { kind, directory } = await unpackMedia(paths, { passphrase, workDirectory: work, progress });
    if (kind !== "archive") return `a ${kind}`;
    const { items } = await checkMediaArchive(directory, { serverName });
    const facts = items.map((item) => JSON.stringify({ ...item, path: "" }));
    return facts.sort().join("\n");
}

export async function readMediaArchive(paths: readonly string[], work: string, whole: string): Promise<Verdict> {
    return (await mediaItems(paths, work)) === whole ? benign : missed("other items");
}

export async function readOwnDump(directory: string, { digest, directory: original }: OwnDump): Promise<Verdict> {
    const manifestFile = join(directory, "dump-manifest.json");
    const manifest = await readManifest(manifestFile, digest);
    const { files, directory: name = "" } = manifest;
    await refuseAlteredArchive(dumpDirectory(manifest, manifestFile), files);
    const hash = async (path: string): Promise<string> =>
        createHash("sha256")
            .update(await readFile(path))
            .digest("hex");
    for (const { path } of files)
        if ((await hash(join(directory, name, path))) !== (await hash(join(original, name, path)))) return missed(path);
    return benign;
}
