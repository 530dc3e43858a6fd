/**
 * The record in the source's own database of who has fenced it, and whether it was left for good. Whoever would fence it, give it back or
 * start a server for it meets the record, whatever their work directory knows.
 *
 * It is the end of the comment on the database: its owner may write it (a setting of our own at the database is refused to everybody but
 * superusers by PostgreSQL 15), whoever connects may read it, no dump carries it, and a database that is renamed keeps it.
 */
import { dirname } from "node:path";
import type { ClientBase } from "pg";
import { z } from "zod";
import { instant, type RunReference, type Source } from "../../contract/index.ts";
import { withClient } from "../postgres/connection.ts";
import { sourceAddress } from "../postgres/databases/sourceDatabase.ts";
import { MigrationError } from "../run/errors.ts";
import { describeOwner, ensureOwner, owner, readOwner } from "../run/ownership/owner.ts";
import { parseJson } from "../run/parseJson.ts";

const sourceRecord = z.strictObject({
    owner,
    stack: z.string().optional(),
    run: z.string(),
    /** Directory of what it is moved to. */
    target: z.string().optional(),
    since: instant,
    /** `committed`: nobody ever starts the source again with this program. */
    state: z.enum(["fenced", "committed"]),
    /** The database's own `default_transaction_read_only` before it was fenced, null where it had none. */
    readOnly: z.string().nullable(),
});
export type SourceRecord = z.infer<typeof sourceRecord>;

const label = "synapse-migration: ";
/** At the end, on a line of its own; what people have written before it stays. */
const inComment = new RegExp(`(?:^|\\n)${label}(\\{.*\\})$`);
/** Of `pg_advisory_xact_lock`: any number that nobody else has a reason to take. */
const lockNumber = 5_790_216_377;

/**
 * Of the database one is connected to. Only reads.
 *
 * @throws MigrationError SM-E0743 when it is damaged
 */
export async function readSourceRecord(client: ClientBase): Promise<SourceRecord | undefined> {
    return (await readComment(client)).record;
}

/**
 * Makes the run the one that fences the source. Of two that try, one finds the other's record.
 *
 * @param readOnly  what the database set before anybody fenced it
 * @throws MigrationError SM-E0741 when another stack has fenced the source, or any has committed it
 */
export async function claimSource(
    client: ClientBase,
    run: RunReference,
    readOnly: string | null,
): Promise<SourceRecord> {
    const own = await ensureOwner(dirname(run.directory));
    return changeRecord(client, (found) => {
        if (found !== undefined && (found.owner.id !== own.id || found.state === "committed")) throw notOurs(found);
        const { stack, target } = run;
        return {
            owner: own,
            ...(stack === undefined ? {} : { stack }),
            run: run.id,
            ...(target === undefined ? {} : { target }),
            since: found?.since ?? new Date().toISOString(),
            state: "fenced",
            readOnly: found === undefined ? readOnly : found.readOnly,
        };
    });
}

/**
 * @throws MigrationError SM-E0741 unless the record is this run's. A source that was fenced by a program that kept no records has none.
 */
export async function refuseOthersFence(client: ClientBase, run: RunReference): Promise<void> {
    const found = await readSourceRecord(client);
    const own = await readOwner(dirname(run.directory));
    if (found !== undefined && (found.owner.id !== own?.id || found.run !== run.id)) throw notOurs(found);
}

/** The record that keeps a stack from fencing the source: another's, or of a source that was left for good. */
export async function fenceInTheWay(client: ClientBase, runsDirectory: string): Promise<SourceRecord | undefined> {
    const found = await readSourceRecord(client);
    const own = await readOwner(runsDirectory);
    return found !== undefined && (found.owner.id !== own?.id || found.state === "committed") ? found : undefined;
}

/** Whether the fence is this run's to lift. `none`: nobody fences it, or somebody did with a program that kept no records. */
export async function whoseFence(
    client: ClientBase,
    run: RunReference,
): Promise<{ readonly whose: "none" | "ours" | "another" | "committed"; readonly record?: SourceRecord }> {
    const record = await readSourceRecord(client);
    if (record === undefined) return { whose: "none" };
    const own = await readOwner(dirname(run.directory));
    if (record.owner.id !== own?.id || record.run !== run.id) return { whose: "another", record };
    return { whose: record.state === "committed" ? "committed" : "ours", record };
}

/** The source must never serve again. Safe to repeat. */
export async function markSourceCommitted(source: Source, run: RunReference, step: string): Promise<void> {
    if (source.kind !== "selfHosted") throw new Error(`a source of kind ${source.kind} has no database of its own`);
    const own = await ensureOwner(dirname(run.directory));
    await withClient(await sourceAddress(source), { step }, (client) =>
        changeRecord(client, (found) => {
            if (found !== undefined && (found.owner.id !== own.id || found.run !== run.id)) throw notOurs(found);
            const first = { owner: own, run: run.id, since: new Date().toISOString(), readOnly: null };
            return { ...(found ?? first), state: "committed" };
        }),
    );
}

/** Takes this run's record away; the comment is as it was. */
export async function releaseSource(client: ClientBase, run: RunReference): Promise<void> {
    const own = await readOwner(dirname(run.directory));
    await changeRecord(client, (found) =>
        found?.owner.id === own?.id && found?.run === run.id && found.state === "fenced" ? undefined : found,
    );
}

/** Puts a record there as a person has decided: adopted. */
export async function writeSourceRecord(client: ClientBase, record: SourceRecord): Promise<void> {
    await changeRecord(client, () => sourceRecord.parse(record));
}

export function describeSourceRecord({ owner: of, stack, run, since, state, target }: SourceRecord): string {
    const to = target === undefined ? "" : `, to ${target}`;
    return `${state} since ${since} by run ${run} of ${describeOwner(of, stack)}${to}`;
}

function notOurs(record: SourceRecord): MigrationError {
    return new MigrationError("SM-E0741", {
        where: "the source's database",
        found: describeSourceRecord(record),
        expected: "a source that nobody has fenced, or that this very run has",
        changed: "nothing",
    });
}

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
    const parsed = sourceRecord.safeParse(parseJson(found[1] ?? ""));
    if (!parsed.success)
        throw new MigrationError("SM-E0743", {
            where: "the comment on the source's database",
            found: `"${label}" with something else after it`,
            expected: "a record of this program",
            changed: "nothing",
        });
    return { text: (comment ?? "").slice(0, found.index), record: parsed.data };
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
