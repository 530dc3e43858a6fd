/** Makes a private, settled, checked copy of `homeserver.db`: whatever is done with SQLite afterwards is done with the copy. */
import { rename, rm } from "node:fs/promises";
import { z } from "zod";
import { MigrationError } from "../run/errors.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";
import { askPythonProgram, type PythonProgramOptions } from "./pythonProgram.ts";

export interface CopySqliteOptions extends PythonProgramOptions {
    /** `homeserver.db`; what lies beside it as `-wal` or `-journal` belongs to it. Only read. */
    readonly database: string;
    /** Path of the copy, in the run directory. Written with mode 0600; an older copy is replaced. */
    readonly destination: string;
}

const tableRows = z.strictObject({ name: z.string(), rows: z.number() });

const checkedShape = z.strictObject({
    bytes: z.number(),
    /** Of the copy as it is after {@link copySqliteDatabase}; Synapse's programs change it when they open it. */
    sha256: z.string(),
    pages: z.number(),
    pageBytes: z.number(),
    /** Whether rows could move, which `synapse_port_db` refuses; the copy was vacuumed once and has it off. */
    autoVacuum: z.boolean(),
    schemaVersion: z.number(),
    /** Absent in schemas before 61. */
    compatVersion: z.number().nullable(),
    pendingBackgroundUpdates: z.array(z.string()),
    /** Server names of the users, most frequent first: of a homeserver there is one. */
    domains: z.array(z.strictObject({ domain: z.string(), users: z.number() })),
    tables: z.array(tableRows),
});
export type CheckedDatabase = z.infer<typeof checkedShape>;

const copiedShape = z.strictObject({
    bytes: z.number(),
    sha256: z.string(),
    /** Of the write-ahead log that was carried over. */
    walBytes: z.number(),
    /** Of the rollback journal of a writer that did not come to its end; its transaction was undone in the copy. */
    journalBytes: z.number(),
    walFrames: z.number(),
});

export interface SqliteCopy extends CheckedDatabase {
    /** The files as they were found. */
    readonly source: z.infer<typeof copiedShape>;
}

const codes = {
    notADatabase: "SM-E0970",
    encrypted: "SM-E0971",
    damaged: "SM-E0972",
    dangling: "SM-E0973",
    inUse: "SM-E0974",
    notSynapse: "SM-E0508",
    noSpace: "SM-E1201",
} as const satisfies Record<string, ErrorCode>;

const refused = z.strictObject({
    refused: z.strictObject({
        reason: z.enum(["notADatabase", "encrypted", "damaged", "dangling", "inUse", "notSynapse", "noSpace"]),
        found: z.string(),
    }),
});
const copyAnswer = z.union([refused, z.strictObject({ copied: copiedShape })]);
const checkAnswer = z.union([refused, z.strictObject({ checked: checkedShape })]);

/** A database of 42 GB takes minutes to copy and to check. */
const copySeconds = 12 * 3600;

/**
 * Copies a database that nobody has open and checks the copy with `PRAGMA integrity_check` and `PRAGMA foreign_key_check`.
 *
 * The source is read as plain files, under a lock of a reader: SQLite itself would make or change `-shm` and `-wal` beside it. A write-ahead
 * log is carried over and merged, a hot rollback journal is rolled back, both in the copy. The log must be whole: SQLite would pass over a
 * transaction that it finds altered, and all after it, without a word.
 *
 * Not found: bits that flipped in the database itself and that SQLite's structure does not depend on. SQLite keeps no checksums.
 *
 * @throws MigrationError SM-E0970 (not a database), SM-E0971 (encrypted), SM-E0972 (cut off, altered), SM-E0973 (dangling references),
 *     SM-E0974 (in use, or written to meanwhile), SM-E0508 (not of Synapse), SM-E1201; the source is unchanged whatever happens
 */
export async function copySqliteDatabase(options: CopySqliteOptions): Promise<SqliteCopy> {
    const partial = `${options.destination}.partial`;
    await removeDatabase(partial);
    try {
        const question = { database: options.database, destination: partial };
        const call = { program: "copy_database.py" as const, question, timeoutSeconds: copySeconds };
        const copy = await askPythonProgram(call, copyAnswer, options);
        if ("refused" in copy) throw refusal(copy.refused, options.database);
        const checked = await checkDatabase(partial, copy.copied.walFrames, options.database, options);
        await removeDatabase(options.destination);
        await rename(partial, options.destination);
        return { ...checked, source: copy.copied };
    } finally {
        await removeDatabase(partial);
    }
}

/**
 * Checks and describes a private copy, making one file of it.
 *
 * @param walFrames  frames that its write-ahead log must yield, 0 for whatever it has
 * @param where  the file that errors speak of
 */
export async function checkDatabase(
    database: string,
    walFrames: number,
    where: string,
    options: PythonProgramOptions,
): Promise<CheckedDatabase> {
    const question = { database, walFrames };
    const call = { program: "check_database.py" as const, question, timeoutSeconds: copySeconds };
    const answer = await askPythonProgram(call, checkAnswer, options);
    if ("refused" in answer) throw refusal(answer.refused, where);
    return answer.checked;
}

function refusal({ reason, found }: z.infer<typeof refused>["refused"], where: string): MigrationError {
    return new MigrationError(codes[reason], { where, found });
}

/** A database with all that SQLite keeps beside it. */
async function removeDatabase(path: string): Promise<void> {
    for (const suffix of ["", "-wal", "-shm", "-journal"]) await rm(`${path}${suffix}`, { force: true });
}
