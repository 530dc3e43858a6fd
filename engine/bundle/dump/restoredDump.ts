/** An archive of pg_dump in custom or directory format as SQL text, by pg_restore: whole, or with an error. */
import { join } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import type { Bytes } from "../streams/byteReader.ts";
import { HeldStream } from "../streams/heldStream.ts";
import { streamProgram, type ProgramEnd } from "../streams/streamProgram.ts";

export interface RestoredDump {
    /** Directory of the PostgreSQL client programs. */
    readonly clientDirectory: string;
    readonly signal?: AbortSignal | undefined;
    /** How errors name it. */
    readonly where: string;
    /** The archive, where it is one by itself: a directory. */
    readonly directory?: string;
    /** What pg_restore reads from its standard input, where there is no directory. */
    readonly input?: Bytes;
}

const stallSeconds = 600;
const shown = 3;

/** What a restore into a database that is there already does not need: PostgreSQL's `_tocEntryRequired`. */
const neverRestored = /^(ENCODING|STDSTRINGS|SEARCHPATH|DATABASE|DATABASE PROPERTIES|STATISTICS DATA)\b/;
const ofDatabase = /^(ACL|COMMENT|SECURITY LABEL) - DATABASE /;

/**
 * The archive as SQL text. A member that is missing or damaged ends the program with an error; the layers around it are read to their end
 * whatever it ends with, as their word on the damage counts more.
 *
 * @throws MigrationError SM-E0905; what the input throws
 */
export async function* restoredDump(dump: RestoredDump): Bytes {
    const input = new HeldStream(dump.input ?? nothing());
    try {
        yield* pgRestore(dump, ["--no-owner", "--no-acl", "--file=-"], input.rest());
        // A tar is padded, which pg_restore does not ask for. Whether the layers around it are whole shows at their end.
        await input.toEnd();
    } catch (error) {
        throw error instanceof MigrationError && error.code === "SM-E0905" ? await input.failureOr(error) : error;
    } finally {
        await input.close();
    }
}

/**
 * pg_restore passes over entries of the table of contents whose place in the order of a restore it does not know, and says nothing: a
 * flipped bit makes a key or an index disappear. They are in its verbose list, and not in the other one.
 *
 * @param open  the archive from its beginning, again for each list
 * @throws MigrationError SM-E0905 naming what would be left out; what the input throws
 */
export async function refusePassedOver(open: () => RestoredDump): Promise<void> {
    const dump = open();
    const all = await listed(dump, ["--verbose"]);
    const restored = new Set(await listed(open(), []));
    const lost = all.filter((line) => !restored.has(line)).map((line) => line.replace(/^\d+; \d+ \d+ /, ""));
    const missing = lost.filter((entry) => !neverRestored.test(entry) && !ofDatabase.test(entry));
    if (missing.length === 0) return;
    throw new MigrationError("SM-E0905", {
        where: dump.where,
        found: `pg_restore passes over ${missing.length} entries of its table of contents: ${missing.slice(0, shown).join("; ")}`,
        expected: "a table of contents of which every entry is restored",
        fix: "copy the dump again from where it was made and compare `sha256sum`; it is damaged",
    });
}

async function listed(dump: RestoredDump, args: readonly string[]): Promise<string[]> {
    const input = new HeldStream(dump.input ?? nothing());
    const list: Buffer[] = [];
    try {
        for await (const chunk of pgRestore(dump, ["--list", ...args], input.rest())) list.push(chunk);
    } finally {
        // It has read no further than the table of contents.
        await input.close();
    }
    const lines = Buffer.concat(list).toString("utf8").split("\n");
    return lines.filter((line) => /^\d+; /.test(line));
}

function pgRestore({ clientDirectory, signal, where, directory }: RestoredDump, args: readonly string[], input: Bytes) {
    return streamProgram(
        join(clientDirectory, "pg_restore"),
        [...args, ...(directory === undefined ? [] : [directory])],
        {
            input,
            secret: "",
            stallSeconds,
            signal,
            judge: ({ exitCode, endedBy, stderr }: ProgramEnd) => {
                if (exitCode === 0) return;
                throw new MigrationError("SM-E0905", {
                    where,
                    found: `pg_restore ended with ${exitCode ?? endedBy ?? "nothing"}: ${stderr.trim().split("\n").slice(-3).join("\n")}`,
                    expected: "an archive that pg_restore of the target reads to its end",
                });
            },
        },
    );
}

async function* nothing(): Bytes {}
