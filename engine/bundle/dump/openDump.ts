/** Opens a dump in whatever format it came, as the SQL text that it stands for. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import type { Progress } from "../../run/progress.ts";
import type { DatabaseSection } from "../write/bundleManifest.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { refuseOtherChecksums } from "../input/checksums.ts";
import { homeserverDump } from "./homeserverDump.ts";
import { unpackDirectoryDump } from "./directoryDump/unpack.ts";
import { extractArchive } from "../archives/extract.ts";
import type { Layer } from "../input/magic.ts";
import { openLayers, type OpenedInput } from "../input/open.ts";
import { ownBundleIn } from "../input/ownBundle.ts";
import { joinedParts } from "../input/parts.ts";
import { recognise, type Content } from "../input/recognise.ts";
import { HeldStream } from "../streams/heldStream.ts";
import { refuseTerminalBytes, refuseTerminalStream } from "../input/terminalBytes.ts";
import { refusePassedOver, restoredDump, type RestoredDump } from "./restoredDump.ts";

export interface OpenDumpOptions {
    readonly passphrase?: string | undefined;
    /** Armored; for a file that is encrypted to a public key. */
    readonly secretKey?: string | undefined;
    /** The database that is meant, where a dump of a whole server holds several homeservers. */
    readonly databaseName?: string | undefined;
    /** Of this run, mode 0700. An archive of a directory is unpacked into it, and removed by {@link OpenedDump.close}. */
    readonly workDirectory: string;
    /** Directory of the PostgreSQL client programs. */
    readonly clientDirectory: string;
    readonly signal?: AbortSignal;
    readonly progress: Progress;
}

export interface OpenedDump {
    /** As `pg_dump` in plain format writes it. */
    readonly stream: AsyncIterable<Buffer>;
    /** Settles when the stream has ended; only then is what was read known to be whole. */
    readonly finished: Promise<{ files: { path: string; bytes: number; sha256: string }[]; layers: string[] }>;
    /** Whether something outside of the SQL text has a say on its being whole: encryption, compression, pg_restore. */
    readonly isCovered: boolean;
    readonly close: () => Promise<void>;
}

const unpackedName = "unpacked-dump";

/**
 * @param paths  one file or directory, the parts of one file, or the directory of a bundle
 * @throws MigrationError SM-E0932 when a checksum beside it is another, SM-E0933 when it went through a terminal, SM-E0917 when it is not a dump, SM-E0935 when it holds several homeservers, SM-E0905 when pg_restore cannot read
 *     it, SM-E0911 and SM-E0906 when a bundle is not as its manifest says, and those of the layers
 */
export async function openDump(paths: readonly string[], options: OpenDumpOptions): Promise<OpenedDump> {
    const input = await onlyInput(paths);
    const bundle = await ownBundleIn(input[0] ?? "", options);
    if (bundle !== undefined) return fromBundle(input[0] ?? "", bundle.database, options);
    await refuseOtherChecksums(input, options);
    const [first = ""] = input;
    if (!(await stat(first)).isDirectory()) await refuseTerminalBytes(input);
    const { content, layers, path } = await recognise(input, options);
    if ((await stat(first)).isDirectory()) {
        if (content === "directory-dump") return fromDirectory(path ?? first, options, { files: [], layers: [] });
        throw notADump(first, content);
    }
    // Unpacked, a dump in tar format is one in directory format. As it is, pg_restore never ends when it is cut off.
    if (layers.includes("tar") || layers.includes("zip") || content === "tar-dump")
        return fromArchive(input, layers, options);
    const cannotBeDecrypted = content === "unknown" && layers.includes("gpg");
    if (content !== "plain-dump" && content !== "custom-dump" && !cannotBeDecrypted) throw notADump(first, content);
    if (content !== "custom-dump") {
        const { stream, finished } = openLayers(input, options);
        const again = (): Bytes => openLayers(input, options).stream;
        const { databaseName: database, progress, signal } = options;
        const inside = homeserverDump(stream, { where: first, database, again, progress, signal });
        return withoutClosing({ stream: inside, finished, isCovered: layers.length > 0 });
    }
    const archive = (stream: Bytes): RestoredDump => ({ ...programOf(options), where: first, input: stream });
    if (layers.length > 0)
        await withStream(input, options, (inside) =>
            refuseTerminalStream(inside, `${first}, inside of its ${layers.join(", ")}`),
        );
    // What the layers prove to be unaltered has nothing that its maker did not put in.
    if (layers.length === 0) await refusePassedOver(() => archive(openLayers(input, options).stream));
    const { stream, finished } = openLayers(input, options);
    return withoutClosing({ stream: restoredDump(archive(stream)), finished, isCovered: true });
}

/** Reads what it wants of what is inside of all layers, once. */
async function withStream<T>(
    input: readonly string[],
    options: OpenDumpOptions,
    work: (inside: Bytes) => Promise<T>,
): Promise<T> {
    const inside = new HeldStream(openLayers(input, options).stream);
    try {
        return await work(inside.rest());
    } finally {
        await inside.close();
    }
}

/** @throws MigrationError SM-E0930 when the files are not one, whole or in all its parts */
async function onlyInput(paths: readonly string[]): Promise<readonly string[]> {
    const [first, ...others] = await joinedParts(paths);
    if (first !== undefined && others.length === 0) return first.paths;
    throw new MigrationError("SM-E0930", {
        where: paths.join(", "),
        found: `${others.length + 1} files that do not belong together`,
        expected: "one dump, whole or in its parts",
    });
}

/** What only comes out of an archive as files: a dump in directory format, or a file that was packed for its own sake. */
async function fromArchive(
    input: readonly string[],
    layers: readonly Layer[],
    options: OpenDumpOptions,
): Promise<OpenedDump> {
    const unpacked = join(options.workDirectory, unpackedName);
    const close = (): Promise<void> => rm(unpacked, { recursive: true, force: true });
    await close();
    try {
        const { input: read } = await options.progress.during("unpacking the dump", () =>
            extractArchive(input, { ...options, destination: unpacked }),
        );
        // The file that was given counts, not the one that was in it.
        const finished = { files: read.files, layers };
        const { content, path } = await recognise(unpacked, { workDirectory: options.workDirectory });
        if (content === "directory-dump")
            return { ...(await fromDirectory(path ?? unpacked, options, finished)), close };
        const entries = await readdir(unpacked, { recursive: true, withFileTypes: true });
        const [only, ...others] = entries.filter((entry) => entry.isFile());
        if (only === undefined || others.length > 0) throw notADump(input.join(", "), content);
        const opened = await openDump([join(only.parentPath, only.name)], { ...options, workDirectory: unpacked });
        const { stream, isCovered } = opened;
        return { ...withoutClosing({ stream, isCovered, finished: opened.finished.then(() => finished) }), close };
    } catch (error) {
        await close();
        throw error;
    }
}

/** The database of a bundle that this program has made. */
async function fromBundle(directory: string, database: DatabaseSection, options: OpenDumpOptions): Promise<OpenedDump> {
    if (database.format === "plain")
        return openDump(
            database.artefact.files.map(({ name }) => join(directory, name)),
            options,
        );
    const unpacked = join(options.workDirectory, unpackedName);
    const close = (): Promise<void> => rm(unpacked, { recursive: true, force: true });
    await close();
    let read = 0;
    const onBytes = (bytes: number): void => void (read += bytes);
    const files = await options.progress.during(
        "unpacking the dump and comparing it with the bundle's manifest",
        () => unpackDirectoryDump(database, unpacked, { ...options, directory, onBytes }),
        () => `${read} bytes read`,
    );
    return { ...(await fromDirectory(unpacked, options, { files: [...files], layers: ["gpg", "tar"] })), close };
}

async function fromDirectory(directory: string, options: OpenDumpOptions, input: OpenedInput): Promise<OpenedDump> {
    const archive = { ...programOf(options), where: directory, directory };
    await refusePassedOver(() => archive);
    return withoutClosing({ stream: restoredDump(archive), finished: Promise.resolve(input), isCovered: true });
}

const programOf = ({ clientDirectory, signal }: OpenDumpOptions): Pick<RestoredDump, "clientDirectory" | "signal"> => ({
    clientDirectory,
    signal,
});

function withoutClosing({
    stream,
    finished,
    isCovered,
}: {
    readonly stream: Bytes;
    readonly finished: Promise<OpenedInput>;
    readonly isCovered: boolean;
}): OpenedDump {
    const described = finished.then(({ files, layers }) => ({
        files: files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })),
        layers: [...layers],
    }));
    // The stream fails with the same error. A caller that reads only the stream leaves this promise alone, which must not count as unhandled.
    described.catch(() => undefined);
    return {
        ...{ stream, finished: described, isCovered },
        close: () => Promise.resolve(),
    };
}

function notADump(where: string, content: Content): MigrationError {
    return new MigrationError("SM-E0917", {
        where,
        found: `content of kind ${content}`,
        expected: "a dump of pg_dump: plain, custom, directory or tar, in whatever compression and encryption",
    });
}
