/** The definitions of a database as pg_dump writes them: tables before the rows, all that rows must come before as single statements. */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import { runDatabaseProgram, runPostgresProgram } from "../server/clientPrograms.ts";
import { parseArchiveList } from "../pgDump/dumpArchive.ts";
import { unwanted } from "../pgDump/restoreArchive.ts";
import { writeRestoreList } from "../pgDump/restoreList.ts";
import type { Definition } from "../catalogue/catalogue.ts";
import { markerSchema } from "../databases/marker.ts";
import type { DatabaseCopy } from "./request.ts";

/** What comes after the rows: an index, a key, a trigger, a comment on one of them. */
export interface PostDataEntry {
    /** `INDEX`, `CONSTRAINT`, `FK CONSTRAINT`, `TRIGGER`, ... */
    readonly kind: string;
    /** For messages: the table's name too where pg_dump puts it there. */
    readonly name: string;
    /** Of the object, in the source. */
    readonly oid: string;
    /** One or more statements, in names with their schemas. */
    readonly text: string;
}

type CopyRun = Pick<StepRun, "directory" | "signal">;
/** The part of a copy that the definitions need. */
export type SchemaCopy = Pick<DatabaseCopy, "source" | "target" | "admin" | "snapshot" | "clientDirectory" | "step">;

const listSeconds = 120;
/** Whoever changes definitions of a source that serves is not waited for, as clients would wait behind us. */
const lockMilliseconds = 30_000;
const heading =
    /^--\n-- TOC entry (\d+) \(class \d+ OID (\d+)\)\n(?:-- Dependencies: [\d ]+\n)?-- Name: (.*); Type: ([A-Z ]+); Schema: .*\n(?:-- Data Pos: \d+\n)?--\n/gm;
const ending = "\n-- Completed on ";

/**
 * Dumps the definitions out of the copy's snapshot, has them used, and removes them.
 *
 * @throws MigrationError SM-E1101 with what pg_dump said
 */
export async function withSchemaArchive<T>(
    copy: SchemaCopy,
    run: CopyRun,
    work: (archive: string) => Promise<T>,
): Promise<T> {
    const archive = join(run.directory, `${copy.step}-schema.pgdump`);
    const remove = async (): Promise<void> => {
        for (const file of [archive, listOf(archive)]) await rm(file, { force: true });
    };
    await remove();
    try {
        await runDatabaseProgram(
            {
                directory: copy.clientDirectory,
                program: "pg_dump",
                args: [
                    ...["--schema-only", "--format", "custom", "--file", archive, "--snapshot", copy.snapshot],
                    ...["--encoding", "UTF8", "--exclude-schema", markerSchema, ...unwanted],
                    ...["--lock-wait-timeout", String(lockMilliseconds)],
                ],
                address: copy.source,
                step: copy.step,
            },
            run,
        );
        return await work(archive);
    } finally {
        await remove();
    }
}

/**
 * Decides what of the archive is restored, before the other two.
 *
 * @param definitions  of the source
 * @throws MigrationError SM-E0515
 */
export async function listSchema(
    archive: string,
    { clientDirectory, target, admin, step }: SchemaCopy,
    definitions: readonly Definition[],
    run: CopyRun,
): Promise<void> {
    await writeRestoreList(
        listOf(archive),
        { clientDirectory, archive, definitions, target, admin },
        { step, signal: run.signal },
    );
}

const listOf = (archive: string): string => `${archive}.list`;

/**
 * Makes tables, types, functions, views and sequences, all or none.
 *
 * @throws MigrationError SM-E1101 with what pg_restore said
 */
export async function restorePreData(archive: string, copy: SchemaCopy, run: CopyRun): Promise<void> {
    await runDatabaseProgram(
        {
            directory: copy.clientDirectory,
            program: "pg_restore",
            args: [
                ...["--section", "pre-data", "--exit-on-error", "--single-transaction", ...unwanted],
                ...["--use-list", listOf(archive), archive],
            ],
            address: copy.target,
            step: copy.step,
            settings: { synchronous_commit: "off" },
        },
        run,
    );
}

/**
 * What comes after the rows, in an order in which everything comes after what it needs.
 *
 * @throws MigrationError SM-E0912 when the statements are not those that the archive lists
 */
export async function postDataEntries(archive: string, copy: SchemaCopy, run: CopyRun): Promise<PostDataEntry[]> {
    const program = join(copy.clientDirectory, "pg_restore");
    const limits = { timeoutSeconds: listSeconds, signal: run.signal };
    const section = ["--section", "post-data", ...unwanted, "--use-list", listOf(archive)];
    const statements = `${archive}.sql`;
    try {
        const [{ stdout: list }] = await Promise.all([
            runPostgresProgram(program, ["--list", ...section, archive], limits),
            runPostgresProgram(program, ["--verbose", "--file", statements, ...section, archive], limits),
        ]);
        const { ids, entries } = parsePostData(await readFile(statements, "utf8"));
        const listed = parseArchiveList(list).map(({ id }) => id);
        if (ids.length === listed.length && ids.every((id, index) => id === listed[index])) return entries;
        throw new MigrationError("SM-E0912", {
            where: archive,
            found: `${ids.length} definitions of indexes, keys and triggers in pg_restore's statements`,
            expected: `the ${listed.length} of its list, in the same order`,
        });
    } finally {
        await rm(statements, { force: true });
    }
}

/** Takes what `pg_restore --verbose --file` writes apart: each entry has a heading that tells what it is of. */
export function parsePostData(script: string): { readonly ids: number[]; readonly entries: PostDataEntry[] } {
    const end = script.lastIndexOf(ending);
    const text = end < 0 ? script : script.slice(0, end);
    const headings = [...text.matchAll(heading)];
    return {
        ids: headings.map(([, id]) => Number(id)),
        entries: headings.map((match, index) => {
            const [found, , oid = "", name = "", kind = ""] = match;
            const next = headings[index + 1]?.index ?? text.length;
            return { kind, name, oid, text: text.slice(match.index + found.length, next).trim() };
        }),
    };
}
