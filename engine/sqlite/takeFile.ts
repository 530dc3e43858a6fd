/** Brings the SQLite file of a homeserver here from the machine that it is on: as it stands, or a snapshot of one that is in use. */
import { createHash } from "node:crypto";
import { open, mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { Machine } from "../machines/machine.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";

/** All that SQLite keeps of a database. The index of its log (`-shm`) tells how far a writer that was killed had come. */
const suffixes = ["", "-wal", "-journal", "-shm"] as const;
const name = "homeserver.db";
/** Below the run directory, of a file that was brought here. */
export const takenDirectoryName = "taken-file";
/** A database of 42 GB takes minutes. */
const snapshotSeconds = 6 * 3600;
/** Of the machine: large enough for databases, and not emptied while it runs. */
const snapshotParent = "/var/tmp";

export interface TakeFileOptions {
    /** Of ours, mode 0700: what is in it is replaced. */
    readonly directory: string;
    /** Names what is made on the machine for a while. */
    readonly runId: string;
    /** A Python of this machine that has SQLite; of another one its own is used. */
    readonly python: string;
    readonly signal?: AbortSignal | undefined;
    /** Gets how many bytes have come. */
    readonly onBytes?: (bytes: number) => void;
}

export interface TakenFile {
    /** `homeserver.db`; what SQLite keeps beside it is beside it. */
    readonly file: string;
    readonly bytes: number;
}

/**
 * Copies a database that nobody has open, with what is beside it. What is read there and what is written here are compared by their digests.
 *
 * @param path  without links
 * @throws MigrationError SM-E0974 when it changed meanwhile
 */
export async function takeClosedFile(machine: Machine, path: string, options: TakeFileOptions): Promise<TakenFile> {
    const directory = await emptyDirectory(options.directory);
    let bytes = 0;
    const onChunk = (length: number): void => options.onBytes?.((bytes += length));
    for (const suffix of suffixes) {
        if ((await machine.files.stat(`${path}${suffix}`)) === undefined) continue;
        await pourInto(machine, `${path}${suffix}`, join(directory, `${name}${suffix}`), onChunk, options.signal);
    }
    return { file: join(directory, name), bytes };
}

/**
 * A snapshot of a database that may be in use, consistent in itself; of one that nobody has open, the file.
 *
 * @throws MigrationError SM-E1101 where Python there cannot do it, SM-E1201 where there is no room for it; nothing stays there
 */
export async function takeSnapshot(machine: Machine, path: string, options: TakeFileOptions): Promise<TakenFile> {
    const directory = await emptyDirectory(options.directory);
    // On this machine it is made where it is to be.
    const there = machine.isHere ? directory : join(snapshotParent, `synapse-migration-${options.runId}`);
    const made = join(there, name);
    if (!machine.isHere) await removeSnapshot(machine, there);
    try {
        const { stdout } = await machine.run(
            machine.isHere ? options.python : "python3",
            ["-I", "-B", "-", path, made],
            {
                workingDirectory: "/",
                input: await readFile(new URL("snapshot_database.py", import.meta.url), "utf8"),
                timeoutSeconds: snapshotSeconds,
                ...(options.signal === undefined ? {} : { signal: options.signal }),
            },
        );
        const answer = answered.parse(JSON.parse(stdout));
        if ("noSpace" in answer)
            throw new MigrationError("SM-E1201", {
                where: placeOn(machine, path),
                found: `no room for a snapshot of it: ${answer.noSpace}`,
                changed: "nothing",
            });
        if ("closed" in answer) return await takeClosedFile(machine, path, options);
        return machine.isHere
            ? { file: made, bytes: answer.snapshot.bytes }
            : await takeClosedFile(machine, made, options);
    } finally {
        if (!machine.isHere) await removeSnapshot(machine, there);
    }
}

const answered = z.union([
    z.strictObject({ closed: z.literal(true) }),
    z.strictObject({ noSpace: z.string() }),
    z.strictObject({ snapshot: z.strictObject({ bytes: z.number().int() }) }),
]);

/** Everybody may make something of that name there: what is not a directory of ours, a link for one, is nothing to remove from. */
async function removeSnapshot(machine: Machine, directory: string): Promise<void> {
    const facts = await machine.files.lstat(directory);
    if (facts?.kind !== "directory" || facts.uid !== (await machine.userId())) return;
    for (const suffix of suffixes) await machine.files.remove(join(directory, `${name}${suffix}`));
    await machine.files.remove(directory);
}

async function emptyDirectory(directory: string): Promise<string> {
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700, recursive: true });
    return directory;
}

async function pourInto(
    machine: Machine,
    from: string,
    to: string,
    onChunk: (length: number) => void,
    signal: AbortSignal | undefined,
): Promise<void> {
    const hash = createHash("sha256");
    const target = await open(to, "wx", 0o600);
    try {
        const { before, after } = await machine.files.pour(
            from,
            async (chunk) => {
                hash.update(chunk);
                // All of it, however many calls that takes.
                await target.writeFile(chunk);
                onChunk(chunk.length);
            },
            signal,
        );
        const there = await machine.files.hash(from, signal);
        if (before.mtime === after.mtime && there.sha256 === hash.digest("hex")) {
            await target.sync();
            return;
        }
    } finally {
        await target.close();
    }
    throw new MigrationError("SM-E0974", {
        where: placeOn(machine, from),
        found: "it changed while it was copied",
        expected: "a file that stands still",
    });
}
