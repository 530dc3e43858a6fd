/** Tells what a file or a directory is, by its content. The name is compared with it and believed in nothing. */
import { lstat, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { openPromise } from "yauzl";
import { finding } from "../../run/finding.ts";
import type { Finding } from "../../../contract/index.ts";
import type { BundleManifest } from "../write/bundleManifest.ts";
import { ByteReader } from "../streams/byteReader.ts";
import { contentOfNames } from "./contentOfNames.ts";
import { HeldStream } from "../streams/heldStream.ts";
import { headOf, inputStatus, readFiles } from "./inputFiles.ts";
import { formatOf, magicBytes, type Format, type Layer } from "./magic.ts";
import { nameWarnings } from "./nameWarnings.ts";
import { unwrap, type OpenOptions } from "./open.ts";
import { ownBundleIn } from "./ownBundle.ts";
import { tarEntries } from "../archives/tarEntries.ts";

export type Content =
    | "plain-dump"
    | "custom-dump"
    | "directory-dump"
    | "tar-dump"
    | "sqlite"
    | "media-store"
    | "mmr-archive"
    | "tar"
    | "zip"
    | "unknown";

export interface Recognised {
    /** Outermost first. Ends with `tar` or `zip` where the content is packed in such an archive, and must be extracted. */
    readonly layers: readonly Layer[];
    readonly content: Content;
    /** Of the file, or of all files in the directory. */
    readonly bytes: number;
    /** SM-W0910 a name that lies, SM-W0920 encrypted and without a passphrase or key. */
    readonly warnings: readonly Finding[];
    /** Of a directory: where in it the content begins, as exports nest folders. */
    readonly path?: string;
}

export interface RecogniseOptions extends Partial<
    Pick<OpenOptions, "passphrase" | "secretKey" | "signal" | "openPgp">
> {
    /** Mode 0700; by default a temporary directory, as nothing of the content is written to it. */
    readonly workDirectory?: string;
}

/** Of an archive's beginning, this many entries are looked at. */
const entriesLookedAt = 32;
const deepestFolder = 8;

/**
 * What is at this path, or in these parts of one file. Only the beginning is read: whether it is whole is known when it is read to its end.
 *
 * @throws MigrationError SM-E0914, SM-E0920 to SM-E0927, SM-E0931, SM-E0910 when the beginning already shows damage
 */
export async function recognise(
    input: string | readonly string[],
    options: RecogniseOptions = {},
): Promise<Recognised> {
    const paths = typeof input === "string" ? [input] : input;
    const [path = ""] = paths;
    const found = await inputStatus(path);
    if (found.isDirectory()) return recogniseDirectory(path, options);
    const { layers, content, skipped } = await recogniseFile(path, paths, options);
    let bytes = found.size;
    for (const part of paths.slice(1)) bytes += (await stat(part)).size;
    const encrypted = skipped ? [finding("SM-W0920", path)] : [];
    const warnings = [...encrypted, ...(skipped ? [] : nameWarnings(basename(path), path, layers, content))];
    return { layers, content, bytes, warnings };
}

async function recogniseFile(
    path: string,
    paths: readonly string[],
    options: RecogniseOptions,
): Promise<{ layers: Layer[]; content: Content; skipped: boolean }> {
    const head = formatOf(await headOf(path));
    if (head === "zip" && paths.length === 1)
        return { layers: ["zip"], content: await zipContent(path), skipped: false };
    if (head === "gpg" && options.passphrase === undefined && options.secretKey === undefined)
        return { layers: ["gpg"], content: "unknown", skipped: true };
    const workDirectory = options.workDirectory ?? (await mkdtemp(join(tmpdir(), "recognise-")));
    try {
        const layers: Layer[] = [];
        const content = await innerContent(paths, layers, { ...options, workDirectory });
        return { layers, content, skipped: false };
    } finally {
        if (options.workDirectory === undefined) await rm(workDirectory, { recursive: true, force: true });
    }
}

async function innerContent(paths: readonly string[], layers: Layer[], options: OpenOptions): Promise<Content> {
    let format: Format = "unknown";
    const where = paths.join(", ");
    const inside = new HeldStream(
        unwrap(readFiles(paths, [], options), layers, { ...options, where }, (found) => (format = found)),
    );
    const reader = new ByteReader(inside.rest());
    try {
        await reader.peek(magicBytes);
        return await contentOf(format, reader, layers, where);
    } catch (error) {
        throw layers.length === 0 ? error : await inside.failureOr(error);
    } finally {
        await inside.close();
    }
}

async function contentOf(format: Format, reader: ByteReader, layers: Layer[], path: string): Promise<Content> {
    if (format === "plain-dump" || format === "custom-dump" || format === "sqlite") return format;
    if (format === "zip") {
        layers.push("zip");
        return "zip";
    }
    if (format !== "tar") return "unknown";
    const content = await tarContent(reader, path);
    if (content !== "tar-dump") layers.push("tar");
    return content;
}

async function tarContent(reader: ByteReader, path: string): Promise<Content> {
    const names: string[] = [];
    for await (const entry of tarEntries(reader.rest(), path)) {
        names.push(entry.kind === "directory" ? `${entry.name}/` : entry.name);
        // First, as the table of contents of a dump looks like a custom dump.
        const known = contentOfNames(names);
        if (known !== undefined) return known === "directory-dump" && names[0] === "toc.dat" ? "tar-dump" : known;
        if (entry.kind === "file" && names.filter(isFile).length === 1) {
            const format = formatOf(await new ByteReader(entry.content).peek(magicBytes));
            if (format === "sqlite" || format === "custom-dump" || format === "plain-dump") return format;
        }
        if (names.length >= entriesLookedAt) break;
    }
    return "tar";
}

const isFile = (name: string): boolean => !name.endsWith("/");

async function zipContent(path: string): Promise<Content> {
    const names: string[] = [];
    const zip = await openPromise(path, { autoClose: false, decodeStrings: false }).catch(() => undefined);
    if (zip === undefined) return "zip";
    try {
        for await (const entry of zip.eachEntry()) {
            names.push(entry.fileNameRaw.toString("utf8"));
            const known = contentOfNames(names.slice(-1));
            if (known !== undefined) return known;
        }
    } catch {
        // A damaged archive is refused when it is unpacked, with an error that says more than could be told here.
    } finally {
        zip.close();
    }
    return "zip";
}

async function recogniseDirectory(path: string, options: RecogniseOptions): Promise<Recognised> {
    const bundle = await ownBundleIn(path, options);
    if (bundle !== undefined) return recogniseBundle(path, bundle);
    const bytes = await bytesBelow(path);
    let at = path;
    for (let depth = 0; depth < deepestFolder; depth++) {
        const entries = await readdir(at, { withFileTypes: true });
        const names = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
        const content = contentOfNames(names);
        if (content !== undefined) return { layers: [], content, bytes, warnings: [], path: at };
        const [only] = entries;
        if (entries.length !== 1 || only === undefined) break;
        at = join(at, only.name);
        if (only.isFile()) return { ...(await recognise(at, options)), path: at };
        if (!only.isDirectory()) break;
    }
    return { layers: [], content: "unknown", bytes, warnings: [] };
}

/** As a source of a database: its media are files of their own, which are named beside it. */
function recogniseBundle(path: string, { database }: BundleManifest): Recognised {
    const artefacts = database.format === "plain" ? [database.artefact] : database.artefacts;
    return {
        layers: database.format === "plain" ? ["gpg", "gzip"] : ["gpg"],
        content: database.format === "plain" ? "plain-dump" : "directory-dump",
        bytes: artefacts.reduce((sum, { bytes }) => sum + bytes, 0),
        warnings: [],
        path,
    };
}

async function bytesBelow(directory: string): Promise<number> {
    let bytes = 0;
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true }))
        if (entry.isFile()) bytes += (await lstat(join(entry.parentPath, entry.name))).size;
    return bytes;
}
