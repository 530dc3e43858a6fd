/** The journal of a run: what was intended, done, failed and taken back. Append-only, synced, each record chained to the one before. */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { open, readFile, type FileHandle } from "node:fs/promises";
import { z } from "zod";
import { syncDirectory } from "./atomicFile.ts";
import { dirname } from "node:path";
import { MigrationError } from "./errors.ts";
import { lockFile } from "./fileLock.ts";
import { readUptime, uptime } from "./steadyClock.ts";

const recordBody = z.strictObject({
    seq: z.number().int().min(1),
    /** ISO 8601, UTC. */
    at: z.iso.datetime(),
    /** What {@link at} is worth when the clock is set; earlier versions did not write it. */
    uptime: uptime.optional(),
    step: z.string(),
    kind: z.enum(["intent", "action", "done", "failed", "undo", "undone"]),
    phase: z.string(),
    /** Keyed digest of the specification; tells whether a done step was asked for the same thing. */
    specDigest: z.string().optional(),
    /** Keyed digest of the secrets in it alone. */
    secretsDigest: z.string().optional(),
    /** Version of the program that began. */
    program: z.string().optional(),
    /** Name of a part of the step that must not be done twice. */
    action: z.string().optional(),
    result: z.unknown().optional(),
    error: z.strictObject({ code: z.string(), message: z.string() }).optional(),
    seconds: z.number().optional(),
    /** Other machines that were worked on until the end that this tells of; earlier versions did not write it. */
    machines: z.array(z.string()).optional(),
    /** Hash of the record before; 64 zeros in the first. */
    previous: z.string(),
});
const recordShape = recordBody.extend({ hash: z.string() });

export type JournalRecord = z.infer<typeof recordShape>;
/** What the writer of a record says; the journal adds the rest. */
export type JournalEntry = Omit<z.infer<typeof recordBody>, "seq" | "at" | "uptime" | "previous">;

const firstPrevious = "0".repeat(64);
const lockWaitSeconds = 30;

/** Several processes may append to the same journal: steps that do not depend on each other run side by side. */
export interface Journal {
    /** All records, read anew. */
    read(): Promise<JournalRecord[]>;
    append(entry: JournalEntry): Promise<JournalRecord>;
}

export function openJournal(path: string): Journal {
    return {
        read: () => readJournal(path),
        async append(entry) {
            const lock = await lockFile(`${path}.lock`, `process ${process.pid}, writing a record`, lockWaitSeconds);
            try {
                return await appendLocked(path, entry);
            } finally {
                await lock.release();
            }
        },
    };
}

/**
 * Reads a journal and checks its chain. A missing file is an empty journal. A last line without its end was torn by a kill and counts as
 * not written.
 *
 * @throws MigrationError SM-E0701 naming the first line that cannot be trusted
 */
export async function readJournal(path: string): Promise<JournalRecord[]> {
    return (await parse(path)).records;
}

async function appendLocked(path: string, entry: JournalEntry): Promise<JournalRecord> {
    const { records, wholeBytes } = await parse(path);
    const last = records.at(-1);
    const up = readUptime();
    const body = recordBody.parse({
        ...entry,
        seq: (last?.seq ?? 0) + 1,
        at: new Date().toISOString(),
        ...(up === undefined ? {} : { uptime: up }),
        previous: last?.hash ?? firstPrevious,
    });
    const record = { ...body, hash: hashOf(body) };
    const file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
        await file.truncate(wholeBytes);
        await writeAll(file, `${JSON.stringify(record)}\n`, wholeBytes);
        await file.sync();
    } finally {
        await file.close();
    }
    if (last === undefined) await syncDirectory(dirname(path));
    return record;
}

async function writeAll(file: FileHandle, text: string, position: number): Promise<void> {
    const bytes = Buffer.from(text);
    let written = 0;
    while (written < bytes.length)
        written += (await file.write(bytes, written, bytes.length - written, position + written)).bytesWritten;
}

async function parse(path: string): Promise<{ records: JournalRecord[]; wholeBytes: number }> {
    const bytes = await readFile(path).catch((error: unknown) => {
        if (error instanceof Error && "code" in error && error.code === "ENOENT") return Buffer.alloc(0);
        throw error;
    });
    const wholeBytes = bytes.lastIndexOf(0x0a) + 1;
    const records: JournalRecord[] = [];
    const lines = bytes.subarray(0, wholeBytes).toString("utf8").split("\n").slice(0, -1);
    for (const [index, line] of lines.entries()) {
        const record = parseLine(line);
        const previous = records.at(-1);
        if (record === undefined || record.seq !== index + 1 || record.previous !== (previous?.hash ?? firstPrevious)) {
            throw new MigrationError("SM-E0701", {
                where: `${path}:${index + 1}`,
                found:
                    record === undefined
                        ? "a record that is not what was written"
                        : "a record that does not follow the one before it",
                expected:
                    previous === undefined
                        ? "the first record"
                        : `the record after "${previous.kind} ${previous.step}" of ${previous.at}`,
            });
        }
        records.push(record);
    }
    return { records, wholeBytes };
}

function parseLine(line: string): JournalRecord | undefined {
    try {
        const record = recordShape.parse(JSON.parse(line));
        const { hash, ...body } = record;
        return hashOf(body) === hash ? record : undefined;
    } catch {
        return undefined;
    }
}

function hashOf(body: z.infer<typeof recordBody>): string {
    const sorted = Object.fromEntries(
        Object.entries(JSON.parse(JSON.stringify(body)) as object).sort(([a], [b]) => (a < b ? -1 : 1)),
    );
    return createHash("sha256").update(JSON.stringify(sorted)).digest("hex");
}
