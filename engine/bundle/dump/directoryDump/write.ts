/**
 * The fast way into a bundle: pg_dump writes its directory format with several processes, and while it does, what is complete is counted,
 * compressed, packed and encrypted by as many lanes.
 *
 * A few archives, and not a file for each of 170 tables: deriving a key from a passphrase takes a sixth of a second each time.
 */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { removePrivateFile } from "../../../run/atomicFile.ts";
import { runDatabaseProgram } from "../../../postgres/server/clientPrograms.ts";
import type { DatabaseAddress } from "../../../postgres/connection.ts";
import { archivedSequences, listArchive, tableOfEntry } from "../../../postgres/pgDump/dumpArchive.ts";
import { markerSchema } from "../../../postgres/databases/marker.ts";
import { MigrationError } from "../../../run/errors.ts";
import { writeArtefact, type Artefact, type ArtefactPlace } from "../../write/artefact.ts";
import { removeArtefact } from "../../write/bundleDirectory.ts";
import type { DirectoryDatabase } from "../../write/bundleManifest.ts";
import { databaseArchive, databaseDirectory } from "../../write/bundleNames.ts";
import { availableCompression, plainNameOf } from "./memberCompression.ts";
import { MemberQueue } from "./memberQueue.ts";
import { contentsName, packMembers, type PackedMember } from "./packMembers.ts";
import { Together } from "../../../run/together.ts";

export interface DirectoryDumpOptions {
    readonly address: DatabaseAddress;
    /** Names sessions and files. */
    readonly step: string;
    readonly clientDirectory: string;
    /** As `pg_export_snapshot()` gave it. */
    readonly snapshot: string;
    /** In that snapshot. */
    readonly tables: readonly { readonly schema: string; readonly name: string }[];
    /** Processes of pg_dump, and archives; from 2 on, as one process does not tell when a table is done. */
    readonly jobs: number;
    readonly place: ArtefactPlace;
    readonly onProgress?: (progress: { readonly tables: number; readonly rows: number }) => void;
}

export interface DirectoryDump extends Pick<DirectoryDatabase, "members" | "tables" | "sequences"> {
    readonly artefacts: readonly Artefact[];
}

/**
 * What lies uncompressed meanwhile, in the run directory, is removed member by member, and all of it at the end or on failure, as are the
 * archives on failure.
 *
 * @throws MigrationError SM-E1101 when a program fails, SM-E0906 when a file of the dump is damaged, SM-E0912 when its files are not those
 *     of its table of contents; those of encryption
 */
export async function writeDirectoryDump(options: DirectoryDumpOptions): Promise<DirectoryDump> {
    const { place, step, jobs } = options;
    const directory = join(place.runDirectory, `${step}.dir`);
    const clear = async (): Promise<void> => {
        await rm(directory, { recursive: true, force: true });
        await removeArtefact(place.bundle.directory, databaseDirectory);
    };
    await clear();
    try {
        const queue = new MemberQueue();
        const members: PackedMember[] = [];
        const compression = await availableCompression();
        const together = new Together(place.signal);
        const { signal } = together;
        signal.addEventListener("abort", () => queue.fail(signal.reason));
        let rows = 0;
        const lane = (number: number): Promise<Artefact> => {
            const content = packMembers(queue, {
                ...{ directory, folder: databaseDirectory, compression, signal },
                onMember: (member) => {
                    members.push(member);
                    options.onProgress?.({ tables: members.length, rows: (rows += member.rows?.rows ?? 0) });
                },
            });
            return writeArtefact(databaseArchive(number), content, "compressed", { ...place, signal });
        };
        const dumping = dumpMembers(options, directory, queue, signal);
        const lanes = Array.from({ length: jobs }, (_, index) => lane(index + 1));
        const [, ...artefacts] = await together.all(dumping, ...lanes);
        return { artefacts, ...(await describe(directory, members, options)) };
    } catch (error) {
        await removeArtefact(place.bundle.directory, databaseDirectory);
        throw error;
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}

/** Runs pg_dump, and adds each file to the queue when it is complete. */
async function dumpMembers(
    { address, step, clientDirectory, snapshot, jobs, place }: DirectoryDumpOptions,
    directory: string,
    queue: MemberQueue,
    signal: AbortSignal,
): Promise<void> {
    await runDatabaseProgram(
        {
            directory: clientDirectory,
            program: "pg_dump",
            args: [
                ...["--format", "directory", "--jobs", String(Math.max(2, jobs)), "--snapshot", snapshot],
                ...["--file", directory, "--compress", "0", "--no-sync", "--encoding", "UTF8", "--verbose"],
                ...["--no-owner", "--no-privileges", "--no-tablespaces", "--no-publications", "--no-subscriptions"],
                ...["--exclude-schema", markerSchema],
            ],
            address,
            step,
            onErrorLine: (line) => {
                // pg_backup_archiver.c mark_dump_job_done(): its process has closed the file. What is not told is taken at the end.
                const [, id] = /^pg_dump: finished item (\d+) TABLE DATA /.exec(line) ?? [];
                if (id !== undefined) queue.add(`${id}.dat`);
            },
        },
        { directory: place.runDirectory, signal },
    );
    const names = await readdir(directory);
    // Those that are packed already are no longer there, those that are being packed may have a compressed file beside them.
    const files = names.filter((name) => plainNameOf(name) === name);
    const other = files.find((name) => name !== contentsName && !/^\d+\.dat$/.test(name));
    if (other !== undefined)
        throw new MigrationError("SM-E0912", {
            where: directory,
            found: `a file ${other}: the database has large objects`,
            expected: "tables and sequences, as Synapse has them",
        });
    for (const name of files) queue.add(name);
    queue.end();
}

/** Puts members and tables together by the table of contents. */
async function describe(
    directory: string,
    members: readonly PackedMember[],
    { clientDirectory, tables, step, place }: DirectoryDumpOptions,
): Promise<Pick<DirectoryDump, "members" | "tables" | "sequences">> {
    const entries = await listArchive(clientDirectory, directory);
    const rows = new Map(members.map((member) => [plainNameOf(member.name), member.rows]));
    const tableOf = new Map<string, string>();
    const dumped = entries.flatMap((entry) => {
        if (entry.kind !== "TABLE DATA") return [];
        const { schema, name } = tableOfEntry(entry, tables);
        const found = rows.get(`${entry.id}.dat`);
        if (found === undefined) throw incomplete(directory, `no file ${entry.id}.dat, the data of ${schema}.${name}`);
        tableOf.set(`${entry.id}.dat`, `${schema}.${name}`);
        return [{ schema, name, rows: found.rows, bytes: found.bytes, digest: found.digest }];
    });
    const listFile = join(place.runDirectory, `${step}-sequences.list`);
    const values = await archivedSequences(clientDirectory, directory, entries, listFile);
    await removePrivateFile(listFile);
    const sequences = entries.flatMap(({ kind, schema, name }) => {
        const value = values.get(`${schema}.${name}`);
        return kind === "SEQUENCE SET" && value !== undefined ? [{ schema, name, ...value }] : [];
    });
    const listed = members.map(({ name, bytes }) => {
        const table = tableOf.get(plainNameOf(name)) ?? null;
        if (table === null && plainNameOf(name) !== contentsName)
            throw incomplete(directory, `a file ${plainNameOf(name)} that its table of contents does not name`);
        return { name, bytes, table };
    });
    const byName = (a: { schema: string; name: string }, b: { schema: string; name: string }): number =>
        `${a.schema}.${a.name}` < `${b.schema}.${b.name}` ? -1 : 1;
    return {
        members: listed.sort((a, b) => (a.name < b.name ? -1 : 1)),
        tables: dumped.sort(byName),
        sequences: sequences.sort(byName),
    };
}

function incomplete(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0912", { where, found, expected: "a file for each table, and no other" });
}
