/** Reads the archives of a directory dump at the same time, each to its end, and compares what is in them with the bundle's manifest. */
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { MigrationError } from "../../../run/errors.ts";
import type { Bytes } from "../../streams/byteReader.ts";
import type { DirectoryDatabase } from "../../write/bundleManifest.ts";
import { belongsTo, databaseDirectory } from "../../write/bundleNames.ts";
import { HeldStream } from "../../streams/heldStream.ts";
import type { FileDigest } from "../../input/inputFiles.ts";
import { openLayers, type OpenOptions } from "../../input/open.ts";
import { tarEntries, type TarEntry } from "../../archives/tarEntries.ts";
import { decompressed, plainNameOf } from "./memberCompression.ts";
import { MemberReading, type MemberRows } from "./memberRows.ts";
import { Together } from "../../../run/together.ts";

export interface ReadDirectoryOptions extends OpenOptions {
    /** Of the bundle. */
    readonly directory: string;
    /** Gets each member, decompressed, under the name that pg_restore knows it by; reads it to its end. */
    readonly take: (name: string, content: Bytes) => Promise<void>;
}

type Member = DirectoryDatabase["members"][number];

/**
 * @returns digests of the files
 * @throws MigrationError SM-E0906 when files, members or rows are not those of the manifest; SM-E0920 to SM-E0926 encryption, SM-E0950 to
 *     SM-E0956 archives, SM-E0910 gzip, SM-E1180 without zstd
 */
export async function readDirectoryDump(
    section: DirectoryDatabase,
    options: ReadDirectoryOptions,
): Promise<readonly FileDigest[]> {
    await refuseOtherFiles(section, options.directory);
    const together = new Together(options.signal);
    const reading = new DirectoryReading(section, { ...options, signal: together.signal });
    const digests = await together.all(...section.artefacts.map((_, index) => reading.archive(index)));
    reading.refuseMissing();
    return digests.flat();
}

class DirectoryReading {
    private readonly expected: Map<string, Member>;
    private readonly tables: ReadonlyMap<string, DirectoryDatabase["tables"][number]>;
    private readonly section: DirectoryDatabase;
    private readonly options: ReadDirectoryOptions;

    constructor(section: DirectoryDatabase, options: ReadDirectoryOptions) {
        this.section = section;
        this.options = options;
        this.expected = new Map(section.members.map((member) => [member.name, member]));
        this.tables = new Map(section.tables.map((table) => [`${table.schema}.${table.name}`, table]));
    }

    public async archive(index: number): Promise<readonly FileDigest[]> {
        const artefact = this.section.artefacts[index];
        const files = artefact?.files ?? [];
        const paths = files.map(({ name }) => join(this.options.directory, name));
        const { stream, finished } = openLayers(paths, this.options);
        const held = new HeldStream(stream);
        try {
            for await (const entry of tarEntries(held.rest(), artefact?.name ?? ""))
                await this.entry(entry, artefact?.name ?? "");
        } catch (error) {
            throw error instanceof MigrationError ? await held.failureOr(error) : error;
        } finally {
            await held.close();
        }
        const { files: digests } = await finished;
        for (const [at, { path, sha256 }] of digests.entries())
            if (sha256 !== files[at]?.sha256) throw altered(path, "another SHA-256 than the manifest has");
        return digests;
    }

    public refuseMissing(): void {
        const [missing] = this.expected.keys();
        if (missing === undefined) return;
        throw altered(this.options.directory, `${this.expected.size} members are missing, as ${missing}`);
    }

    private async entry(entry: TarEntry, where: string): Promise<void> {
        const name = entry.name.replace(`${databaseDirectory}/`, "");
        const member = this.expected.get(name);
        if (entry.kind !== "file" || member === undefined)
            throw altered(where, `${entry.name} is not of this dump, or there twice`);
        this.expected.delete(name);
        await this.member(member, entry.content);
    }

    private async member(member: Member, packed: Bytes): Promise<void> {
        const { name, bytes, table } = member;
        const rows = table === null ? undefined : new MemberReading(name);
        const content = limited(decompressed(name, packed, this.options.signal), member, rows);
        await this.options.take(plainNameOf(name), content);
        if (rows === undefined || table === null) return;
        const was = this.tables.get(table);
        const is: MemberRows = rows.finish();
        if (was?.rows !== is.rows || was.digest !== is.digest)
            throw altered(
                name,
                `${is.rows} rows of ${table} in ${bytes} bytes that are not the ones that were written`,
            );
    }
}

/** The content, which must be as long as the manifest says: nothing that is longer gets anywhere. */
async function* limited(
    content: AsyncGenerator<Buffer, void>,
    { name, bytes }: Member,
    rows: MemberReading | undefined,
): AsyncGenerator<Buffer, void> {
    let read = 0;
    for await (const chunk of content) {
        read += chunk.length;
        if (read > bytes) throw altered(name, `more than ${bytes} bytes`);
        rows?.take(chunk);
        yield chunk;
    }
    if (read !== bytes) throw altered(name, `${read} bytes and not ${bytes}`);
}

/** What shows before anything is decrypted. */
async function refuseOtherFiles(section: DirectoryDatabase, directory: string): Promise<void> {
    const problems: string[] = [];
    const files = section.artefacts.flatMap((artefact) => artefact.files);
    for (const { name, bytes } of files) {
        const found = await lstat(join(directory, name)).catch(() => undefined);
        if (found === undefined) problems.push(`${name} is missing`);
        else if (found.size !== bytes) problems.push(`${name} has ${found.size} bytes and not ${bytes}`);
    }
    for (const name of await readdir(directory))
        if (belongsTo(databaseDirectory, name) && files.every((file) => file.name !== name))
            problems.push(`${name} is not of this dump`);
    if (problems.length > 0) throw altered(directory, problems.slice(0, 5).join("\n"));
}

function altered(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0906", { where, found, expected: "what the bundle's manifest says" });
}
