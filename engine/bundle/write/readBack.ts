/** Reads the files of a bundle as their receiver will: through encryption, compression and archives to the end, without a file of its own. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { parseManifest } from "../../media/repositoryArchive/archiveManifest.ts";
import { TreeDigest } from "../../media/treeDigest.ts";
import { inspectPlainDump } from "../../postgres/plainDump/inspect.ts";
import type { Artefact } from "./artefact.ts";
import type { ConfigSection, DatabaseSection, MediaSection } from "./bundleManifest.ts";
import { mediaBackupFolder, mediaExportFolder } from "./bundleNames.ts";
import { ByteReader, type Bytes } from "../streams/byteReader.ts";
import { readDirectoryDump } from "../dump/directoryDump/read.ts";
import { gunzip } from "../archives/gunzip.ts";
import { readFiles, type FileDigest } from "../input/inputFiles.ts";
import { openLayers } from "../input/open.ts";
import { tarEntries } from "../archives/tarEntries.ts";

export interface ReadBackOptions {
    /** Of the bundle. */
    readonly directory: string;
    readonly passphrase: string;
    /** Mode 0700. */
    readonly runDirectory: string;
    readonly signal: AbortSignal;
}

/** What the files on disk are: one line for each that is not as it was written. */
export async function compareFiles(
    artefacts: readonly Artefact[],
    { directory, signal }: Pick<ReadBackOptions, "directory" | "signal">,
): Promise<string[]> {
    const problems: string[] = [];
    for (const { name, bytes, sha256 } of artefacts.flatMap(({ files }) => files)) {
        const digests: FileDigest[] = [];
        await drain(readFiles([join(directory, name)], digests, { signal }));
        const [found] = digests;
        if (found?.bytes !== bytes) problems.push(`${name} has ${found?.bytes ?? 0} bytes and not ${bytes}`);
        else if (found.sha256 !== sha256) problems.push(`${name} has another SHA-256`);
    }
    return problems;
}

/** @throws MigrationError of every layer, and of the dump's own */
export async function compareDatabaseFile(section: DatabaseSection, options: ReadBackOptions): Promise<string[]> {
    if (section.format === "directory") {
        const { runDirectory: workDirectory, ...opening } = options;
        const take = (_name: string, content: Bytes): Promise<void> => drain(content[Symbol.asyncIterator]());
        await readDirectoryDump(section, { ...opening, workDirectory, take });
        return [];
    }
    const { content: found } = await readThrough(section.artefact, options, async (stream) => ({
        content: await inspectPlainDump(stream, { signal: options.signal }),
    }));
    const before = new Map(section.tables.map((table) => [`${table.schema}.${table.name}`, table]));
    const problems = found.tables.flatMap(({ schema, name, rows, digest }) => {
        const table = `${schema}.${name}`;
        const was = before.get(table);
        before.delete(table);
        return was?.rows === rows && was.digest === digest ? [] : [`${table} has other rows than were written`];
    });
    if (found.sha256 !== section.dump.sha256 || found.bytes !== section.dump.bytes)
        problems.push("the dump is not the one that was written: another SHA-256");
    if (found.sequences.length !== section.sequences.length)
        problems.push(`${found.sequences.length} sequences, and not ${section.sequences.length}`);
    return [...problems, ...[...before.keys()].map((table) => `${table} is missing`)];
}

/** The archives inside of the archive, each file of them against matrix-media-repo's manifest. */
export async function compareMediaExport(
    section: MediaSection["export"],
    serverName: string,
    options: ReadBackOptions,
): Promise<string[]> {
    const { parts, files, manifest } = await readThrough(section.artefact, options, async (stream) => {
        const seen: string[] = [];
        const found = new Map<string, Hashed>();
        let text: string | undefined;
        for await (const part of tarEntries(stream, section.artefact.name)) {
            if (part.kind === "directory") continue;
            seen.push(part.name.replace(`${mediaExportFolder}/`, ""));
            const unpacked = gunzip(new ByteReader(part.content), part.name);
            for await (const entry of tarEntries(unpacked, part.name)) {
                if (entry.name === "manifest.json") text = await textOf(entry.content);
                else if (entry.kind === "file") found.set(entry.name, await hashed(entry.content));
            }
        }
        return { parts: seen, files: found, manifest: text };
    });
    const problems: string[] = [];
    if (parts.length !== section.parts.length || section.parts.some((name) => !parts.includes(name)))
        problems.push(`archives ${parts.join(", ")}, and not ${section.parts.join(", ")}`);
    if (manifest === undefined) return [...problems, "it has no manifest"];
    // A homeserver without media has a manifest that names none, which is refused as the manifest of an export.
    if (section.media === 0) return files.size === 0 ? problems : [...problems, `${files.size} files, and not 0`];
    const { entityId, entries } = parseManifest(manifest, section.artefact.name);
    if (entityId !== serverName) problems.push(`media of ${entityId}`);
    for (const { address, fileName, media } of entries) {
        const file = files.get(fileName);
        if (file === undefined) problems.push(`${address} is missing`);
        else if (file.bytes !== media.sizeBytes || file.sha256 !== media.sha256)
            problems.push(`${address} is not as its manifest says`);
    }
    if (entries.length !== section.media) problems.push(`${entries.length} media, and not ${section.media}`);
    return problems;
}

export async function compareMediaBackup(section: MediaSection["backup"], options: ReadBackOptions): Promise<string[]> {
    const found = await readThrough(section.artefact, options, async (stream) => {
        const digest = new TreeDigest();
        let files = 0;
        for await (const entry of tarEntries(stream, section.artefact.name)) {
            if (entry.kind === "directory") continue;
            const { sha256, bytes: size } = await hashed(entry.content);
            digest.add({ path: entry.name.replace(`${mediaBackupFolder}/`, ""), size, sha256 });
            files++;
        }
        return { files, treeDigest: digest.value() };
    });
    if (found.files !== section.files) return [`${found.files} files, and not ${section.files}`];
    return found.treeDigest === section.treeDigest ? [] : ["its files are not those that were written"];
}

export async function compareConfig(section: ConfigSection, options: ReadBackOptions): Promise<string[]> {
    const found = await readThrough(section.artefact, options, async (stream) => {
        const files = new Map<string, Hashed>();
        for await (const entry of tarEntries(stream, section.artefact.name))
            files.set(entry.name, await hashed(entry.content));
        return files;
    });
    const wrong = section.files.filter(({ name, sha256 }) => found.get(name)?.sha256 !== sha256);
    const problems = wrong.map(({ name }) => `${name} is not as it was written`);
    return found.size === section.files.length
        ? problems
        : [...problems, `${found.size} files, and not ${section.files.length}`];
}

/** The result counts only when all layers have ended well. */
async function readThrough<T>(
    { files }: Artefact,
    { directory, passphrase, runDirectory, signal }: ReadBackOptions,
    read: (stream: Bytes) => Promise<T>,
): Promise<T> {
    const paths = files.map(({ name }) => join(directory, name));
    const { stream, finished } = openLayers(paths, { passphrase, workDirectory: runDirectory, signal });
    const result = await read(stream);
    await finished;
    return result;
}

interface Hashed {
    readonly bytes: number;
    readonly sha256: string;
}

async function hashed(content: Bytes): Promise<Hashed> {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of content) {
        hash.update(chunk);
        bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest("hex") };
}

async function textOf(content: Bytes): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of content) chunks.push(chunk);
    return Buffer.concat(chunks).toString("utf8");
}

async function drain(content: AsyncIterator<Buffer>): Promise<void> {
    while ((await content.next()).done !== true);
}
