/** Reads the files of a bundle as their receiver will: through encryption, compression and archives to the end, without a file of its own. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { inspectPlainDump } from "../../postgres/plainDump/inspect.ts";
import type { Artefact } from "./artefact.ts";
import type { ConfigSection, DatabaseSection } from "./bundleManifest.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { readDirectoryDump } from "../dump/directoryDump/read.ts";
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

/** Reads an artefact through all its layers. The result counts only when all of them have ended well. */
export async function readThrough<T>(
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

export interface Hashed {
    readonly bytes: number;
    readonly sha256: string;
}

/** Reads a file of an archive to its end. */
export async function hashed(content: Bytes): Promise<Hashed> {
    const hash = createHash("sha256");
    let bytes = 0;
    for await (const chunk of content) {
        hash.update(chunk);
        bytes += chunk.length;
    }
    return { bytes, sha256: hash.digest("hex") };
}

async function drain(content: AsyncIterator<Buffer>): Promise<void> {
    while ((await content.next()).done !== true);
}
