/** Finds the SQLite database among what was given: the file itself, or one that was packed, compressed or encrypted. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { refuseOtherChecksums } from "../bundle/input/checksums.ts";
import { extractArchive } from "../bundle/archives/extract.ts";
import { openLayers, type OpenedInput } from "../bundle/input/open.ts";
import { joinedParts } from "../bundle/input/parts.ts";
import { recognise } from "../bundle/input/recognise.ts";
import { writeNewFile } from "../bundle/archives/staging.ts";
import { MigrationError } from "../run/errors.ts";

export interface OpenSqliteOptions {
    readonly passphrase?: string | undefined;
    /** Armored; for a file that is encrypted to a public key. */
    readonly secretKey?: string | undefined;
    /** Of this run, mode 0700. */
    readonly workDirectory: string;
    /** Where what is packed is unpacked to; mode 0700. */
    readonly directory: string;
    readonly signal?: AbortSignal;
}

export interface OpenedSqlite {
    /** Only to be read. */
    readonly file: string;
    readonly input: { files: { path: string; bytes: number; sha256: string }[]; layers: string[] };
}

/** Whether the source's database is one of SQLite's: by content. What is packed with a passphrase that is not there is not. */
export async function isSqlite(
    paths: readonly string[],
    options: Pick<OpenSqliteOptions, "passphrase" | "secretKey" | "workDirectory">,
): Promise<boolean> {
    const [first, ...others] = await joinedParts(paths);
    if (first === undefined || others.length > 0) return false;
    return (await recognise(first.paths, options)).content === "sqlite";
}

/**
 * @throws MigrationError SM-E0917 when there is not exactly one SQLite database, and those of the layers
 */
export async function openSqlite(given: readonly string[], options: OpenSqliteOptions): Promise<OpenedSqlite> {
    const [artefact] = await joinedParts(given);
    const paths = artefact?.paths ?? [];
    const [first = ""] = paths;
    await refuseOtherChecksums(paths, options);
    const { content, layers } = await recognise(paths, options);
    if (content !== "sqlite") throw notSqlite(first, `content of kind ${content}`);
    // A file as it is has its write-ahead log beside it, which is of no use anywhere else.
    if (layers.length === 0 && paths.length === 1) return { file: first, input: await plainInput(first) };
    if (layers.includes("tar") || layers.includes("zip")) {
        const destination = join(options.directory, "unpacked");
        const { input } = await extractArchive(paths, { ...options, destination });
        return { file: await onlyDatabase(destination), input: plain(input) };
    }
    const { stream, finished } = openLayers(paths, options);
    const file = join(options.directory, "given.db");
    await writeNewFile(file, stream);
    return { file, input: plain(await finished) };
}

async function onlyDatabase(directory: string): Promise<string> {
    const found: string[] = [];
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (entry.isFile() && (await recognise(path)).content === "sqlite") found.push(path);
    }
    const [only, ...others] = found;
    if (only === undefined || others.length > 0) throw notSqlite(directory, `${found.length} SQLite databases`);
    return only;
}

async function plainInput(path: string): Promise<OpenedSqlite["input"]> {
    const hash = createHash("sha256");
    for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
    return { files: [{ path, bytes: (await stat(path)).size, sha256: hash.digest("hex") }], layers: [] };
}

function plain({ files, layers }: OpenedInput): OpenedSqlite["input"] {
    return { files: files.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })), layers: [...layers] };
}

function notSqlite(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0917", { where, found, expected: "one homeserver.db of Synapse" });
}
