/**
 * The record of a source's fence at a database of PostgreSQL: the end of the comment on it. Its owner may write that (a setting of our own at
 * the database is refused to everybody but superusers by PostgreSQL 15), whoever connects may read it, no dump carries it, and a database that
 * is renamed keeps it.
 */
import type { ClientBase } from "pg";
import { z } from "zod";
import { parseSourceRecord, type RecordPlace, type SourceRecord } from "../sourceRecord.ts";

const label = "synapse-migration: ";
/** At the end, on a line of its own; what people have written before it stays. */
const inComment = new RegExp(`(?:^|\\n)${label}(\\{.*\\})$`);
/** Of `pg_advisory_xact_lock`: any number that nobody else has a reason to take. */
const lockNumber = 5_790_216_377;

/** Of the database one is connected to. */
export const recordInDatabase = (client: ClientBase): RecordPlace => ({
    read: async () => (await readComment(client)).record,
    change: (change) => changeRecord(client, change),
});

interface Comment {
    /** What others have written. */
    readonly text: string;
    readonly record: SourceRecord | undefined;
}

async function readComment(client: ClientBase): Promise<Comment> {
    const { rows } = await client.query(
        `SELECT pg_catalog.shobj_description(oid, 'pg_database') AS comment FROM pg_catalog.pg_database
         WHERE datname = pg_catalog.current_database()`,
    );
    const [{ comment }] = z.tuple([z.object({ comment: z.string().nullable() })]).parse(rows);
    const found = inComment.exec(comment ?? "");
    if (found === null) return { text: comment ?? "", record: undefined };
    const record = parseSourceRecord(found[1] ?? "", "the comment on the source's database");
    return { text: (comment ?? "").slice(0, found.index), record };
}

/** Reads, decides and writes while nobody else does. @param change  undefined takes the record away */
async function changeRecord<R extends SourceRecord | undefined>(
    client: ClientBase,
    change: (found: SourceRecord | undefined) => R,
): Promise<R> {
    // A fenced database begins every session read-only.
    await client.query("SET default_transaction_read_only = off");
    await client.query("BEGIN READ WRITE");
    try {
        await client.query(`SELECT pg_catalog.pg_advisory_xact_lock(${lockNumber})`);
        const { text, record } = await readComment(client);
        const changed = change(record);
        const line = changed === undefined ? "" : `${label}${JSON.stringify(changed)}`;
        const comment = [text, line].filter((part) => part !== "").join("\n");
        if (JSON.stringify(changed) !== JSON.stringify(record)) {
            const { rows } = await client.query("SELECT pg_catalog.current_database() AS name");
            const [{ name }] = z.tuple([z.object({ name: z.string() })]).parse(rows);
            await client.query("SET LOCAL synchronous_commit = on");
            await client.query(
                `COMMENT ON DATABASE ${client.escapeIdentifier(name)} IS ${comment === "" ? "NULL" : client.escapeLiteral(comment)}`,
            );
        }
        await client.query("COMMIT");
        return changed;
    } catch (error) {
        await client.query("ROLLBACK").catch(() => undefined);
        throw error;
    }
}
