/** A directory-format archive of pg_dump: what its table of contents promises, and whether its files are there and unaltered. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { writePrivateFile } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import { runPostgresProgram } from "../server/clientPrograms.ts";
import type { Manifest } from "../compare/dumpManifest.ts";

export interface ArchiveEntry {
    /** Names the file of a table's data: `<id>.dat`, with the suffix of its compression. */
    readonly id: number;
    /** `TABLE`, `TABLE DATA`, `SEQUENCE SET`, `INDEX`, ... */
    readonly kind: string;
    readonly schema: string;
    readonly name: string;
    /** The line as pg_restore lists it, to be given back in `--use-list`. */
    readonly line: string;
}

const listSeconds = 120;
/** What pg_dump's kinds of one word are told apart from; the others have their second word here. */
const twoWordKinds =
    /^(TABLE DATA|TABLE ATTACH|SEQUENCE SET|SEQUENCE OWNED BY|FK CONSTRAINT|CHECK CONSTRAINT|MATERIALIZED VIEW DATA|MATERIALIZED VIEW|EVENT TRIGGER|DEFAULT ACL|FOREIGN TABLE|ROW SECURITY|BLOB METADATA|INDEX ATTACH)/;

/**
 * Lists the archive's table of contents.
 *
 * @throws MigrationError SM-E0905 when pg_restore cannot read it
 */
export async function listArchive(clientDirectory: string, directory: string): Promise<ArchiveEntry[]> {
    const { stdout } = await pgRestore(clientDirectory, ["--list", directory]);
    return parseArchiveList(stdout);
}

/** Parses `pg_restore --list`: `3456; 0 16390 TABLE DATA public users synapse`. */
export function parseArchiveList(text: string): ArchiveEntry[] {
    return text.split("\n").flatMap((line) => {
        const [, id, rest = ""] = /^(\d+); \d+ \d+ (.*)$/.exec(line) ?? [];
        if (id === undefined) return [];
        const kind = twoWordKinds.exec(rest)?.[0] ?? rest.split(" ")[0] ?? "";
        // The names of Synapse's tables and sequences have no spaces; the owner is last.
        const [schema = "", name = ""] = rest.slice(kind.length + 1).split(" ");
        return [{ id: Number(id), kind, schema, name, line }];
    });
}

/**
 * The values that the archive will give to sequences: taken by pg_dump, which reads them when it comes to them, so they may be newer than
 * the snapshot where the source still runs.
 *
 * @returns by `schema.name`
 */
export async function archivedSequences(
    clientDirectory: string,
    directory: string,
    entries: readonly ArchiveEntry[],
    listFile: string,
): Promise<Map<string, { lastValue: string; isCalled: boolean }>> {
    const wanted = entries.filter(({ kind }) => kind === "SEQUENCE SET");
    await writePrivateFile(listFile, wanted.map(({ line }) => `${line}\n`).join(""));
    const { stdout } = await pgRestore(clientDirectory, ["--use-list", listFile, "--file", "-", directory]);
    const values = new Map<string, { lastValue: string; isCalled: boolean }>();
    const calls = stdout.matchAll(/^SELECT pg_catalog\.setval\('(.+)', (-?\d+), (true|false)\);$/gm);
    for (const [, name = "", lastValue = "", isCalled] of calls)
        values.set(name.replaceAll('"', "").replaceAll("''", "'"), { lastValue, isCalled: isCalled === "true" });
    return values;
}

/**
 * Makes sure that the archive has data of exactly the tables that were fingerprinted, and the file of each.
 *
 * @throws MigrationError SM-E0912 naming a table that is in one and not in the other, SM-E0906 naming a missing file
 */
export async function refuseIncompleteArchive(
    directory: string,
    entries: readonly ArchiveEntry[],
    tables: readonly { readonly schema: string; readonly name: string }[],
): Promise<void> {
    const files = new Set((await readdir(directory)).map((file) => file.replace(/\.(gz|lz4|zst)$/, "")));
    const data = entries
        .filter(({ kind }) => kind === "TABLE DATA")
        .map((entry) => ({ ...entry, ...tableOfEntry(entry, tables) }));
    const archived = new Set(data.map(({ schema, name }) => `${schema}.${name}`));
    const expected = new Set(tables.map(({ schema, name }) => `${schema}.${name}`));
    const lost = [...expected].filter((name) => !archived.has(name));
    const surplus = [...archived].filter((name) => !expected.has(name));
    if (lost.length + surplus.length > 0) {
        throw new MigrationError("SM-E0912", {
            where: directory,
            found: [
                ...lost.map((name) => `no data of table ${name}`),
                ...surplus.map((name) => `data of table ${name}`),
            ]
                .slice(0, 5)
                .join(", "),
            expected: "the data of all tables of the snapshot, and of no other",
        });
    }
    const missing = data.find(({ id }) => !files.has(`${id}.dat`));
    if (missing === undefined) return;
    throw new MigrationError("SM-E0906", {
        where: directory,
        found: `no file ${missing.id}.dat, the data of table ${missing.schema}.${missing.name}`,
    });
}

/** Which of the tables an entry of kind `TABLE DATA` is of: the list does not say where a name with spaces ends, and puts a space for a line break. */
export function tableOfEntry(
    { schema, name, line }: ArchiveEntry,
    tables: readonly { readonly schema: string; readonly name: string }[],
): { readonly schema: string; readonly name: string } {
    const rest = / TABLE DATA (.*)$/.exec(line)?.[1] ?? "";
    const [table] = tables
        .filter((table) => rest.startsWith(`${table.schema} ${table.name} `.replaceAll(/[\r\n]/g, " ")))
        .sort((a, b) => b.schema.length + b.name.length - a.schema.length - a.name.length);
    return table === undefined ? { schema, name } : { schema: table.schema, name: table.name };
}

export type ArchiveFile = Manifest["files"][number];

/** SHA-256 and size of every file of the archive, sorted by name. */
export async function hashArchive(
    directory: string,
    onBytes: (bytes: number) => void = () => undefined,
): Promise<ArchiveFile[]> {
    const files: ArchiveFile[] = [];
    for (const path of (await readdir(directory)).sort()) files.push(await hashFile(directory, path, onBytes));
    return files;
}

/**
 * Reads every byte again and compares with the manifest.
 *
 * @throws MigrationError SM-E0906 naming the files that are missing, cut, altered or not of the dump
 */
export async function refuseAlteredArchive(
    directory: string,
    expected: readonly ArchiveFile[],
    onBytes: (bytes: number) => void = () => undefined,
): Promise<void> {
    const problems: string[] = [];
    const present = new Set(await readdir(directory).catch(() => []));
    for (const file of expected) {
        if (!present.delete(file.path)) {
            problems.push(`${file.path} is missing`);
            continue;
        }
        const { size } = await lstat(join(directory, file.path));
        if (size !== file.bytes) problems.push(`${file.path} has ${size} bytes and not ${file.bytes}`);
        else if ((await hashFile(directory, file.path, onBytes)).sha256 !== file.sha256)
            problems.push(`${file.path} is altered: another SHA-256`);
    }
    problems.push(...[...present].map((path) => `${path} is not of this dump`));
    if (problems.length === 0) return;
    throw new MigrationError("SM-E0906", {
        where: directory,
        found: problems.slice(0, 5).join("\n") + (problems.length > 5 ? `\nand ${problems.length - 5} more` : ""),
        expected: "the files of the manifest, byte for byte",
    });
}

async function hashFile(directory: string, path: string, onBytes: (bytes: number) => void): Promise<ArchiveFile> {
    const status = await lstat(join(directory, path));
    if (!status.isFile())
        throw new MigrationError("SM-E0906", { where: join(directory, path), found: "not a regular file" });
    const hash = createHash("sha256");
    let bytes = 0;
    await pipeline(
        createReadStream(join(directory, path), { highWaterMark: 1024 * 1024 }),
        async (chunks: AsyncIterable<Buffer>) => {
            for await (const chunk of chunks) {
                hash.update(chunk);
                bytes += chunk.length;
                onBytes(chunk.length);
            }
        },
    );
    return { path, bytes, sha256: hash.digest("hex") };
}

async function pgRestore(clientDirectory: string, args: readonly string[]): Promise<{ stdout: string }> {
    try {
        return await runPostgresProgram(join(clientDirectory, "pg_restore"), args, { timeoutSeconds: listSeconds });
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        throw new MigrationError("SM-E0905", { where: args.at(-1) ?? "", found: error.detail.found, cause: error });
    }
}
