/** Where every stream of a database stands: what moves when anything is written. */
import { z } from "zod";
import { query, queryOne, type Client } from "../postgres/connection.ts";
import { markerSchema } from "../postgres/databases/marker.ts";
import { readSystemIdentifier } from "../postgres/server/systemIdentifier.ts";

export const watermarks = z.strictObject({
    /** `pg_control_system().system_identifier` where it may be read, and the database's oid: the same data directory, the same database. */
    database: z.string(),
    /** Last value of each sequence, by qualified name. */
    sequences: z.record(z.string(), z.string()),
    /** Rows inserted, updated and deleted since the statistics were reset, all tables together. */
    rowChanges: z.string(),
    // Tokens of version 0.1.0 have none of the following.
    /** When the counters were last set to zero; null where they never were. */
    countersSince: z.string().nullable().optional(),
    /** The file that holds each table's rows: TRUNCATE and a rewrite give it another, and are counted nowhere. */
    tables: z.record(z.string(), z.string()).optional(),
    /** Of the whole server: the transaction after the last one that has ended, and where the write-ahead log ends. */
    position: z.strictObject({ transaction: z.string(), log: z.string() }).optional(),
    /** Of the server's processes. */
    serverStarted: z.string().optional(),
});
export type Watermarks = z.infer<typeof watermarks>;

const identity = z.object({ oid: z.string() });
const sequenceRow = z.object({ name: z.string(), last_value: z.string().nullable() });
const changeRow = z.object({ changes: z.string(), since: z.string().nullable() });
const tableRow = z.object({ name: z.string(), file: z.string() });
const positionRow = z.object({ transaction: z.string(), log: z.string(), started: z.string() });

/** Reads the watermarks. Only reads. */
export async function readWatermarks(client: Client): Promise<Watermarks> {
    // First: what is written while the others are read is then seen by the next reading.
    const { started, ...position } = await queryOne(
        client,
        positionRow,
        // Where the log is safe on disk: what lies beyond may be lost with the server, and what is written then lies further back.
        `SELECT pg_snapshot_xmax(pg_current_snapshot())::text AS transaction,
                pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
                                     ELSE pg_current_wal_flush_lsn() END, '0/0')::text AS log,
                pg_postmaster_start_time()::text AS started`,
    );
    const { oid } = await queryOne(
        client,
        identity,
        "SELECT oid::text FROM pg_database WHERE datname = current_database()",
    );
    const system = await readSystemIdentifier(client);
    const sequences = await query(
        client,
        sequenceRow,
        `SELECT schemaname || '.' || sequencename AS name, last_value::text FROM pg_sequences ORDER BY schemaname, sequencename`,
    );
    // A backend that has ended has reported its changes; ours reports none, as it only reads.
    const { changes, since } = await queryOne(
        client,
        changeRow,
        `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::text AS changes,
                (SELECT stats_reset::text FROM pg_stat_database WHERE datname = current_database()) AS since
         FROM pg_stat_user_tables WHERE schemaname <> '${markerSchema}'`,
    );
    const tables = await query(
        client,
        tableRow,
        `SELECT n.nspname || '.' || c.relname AS name, c.oid::text || '/' || c.relfilenode::text AS file
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema', '${markerSchema}')
           AND c.relpersistence <> 't' ORDER BY 1`,
    );
    return {
        database: `${system ?? "unknown"}/${oid}`,
        sequences: Object.fromEntries(sequences.map(({ name, last_value }) => [name, last_value ?? "unused"])),
        rowChanges: changes,
        countersSince: since,
        tables: Object.fromEntries(tables.map(({ name, file }) => [name, file])),
        position,
        serverStarted: started,
    };
}

/** One line each. */
export interface Movements {
    /** What has moved. */
    readonly moved: readonly string[];
    /** What may have moved: only the rows themselves can tell. */
    readonly unproven: readonly string[];
}

/** What differs between two readings, one line each; empty when the database is proven to have stood still. */
export function movements(before: Watermarks, after: Watermarks): string[] {
    const { moved, unproven } = judgeMovements(before, after);
    return [...moved, ...unproven];
}

/**
 * What differs between two readings. Without either, the database stood still.
 *
 * Rows are proven still in one of two ways. Whoever changes a row takes a transaction number (each change is stamped with it), so where no
 * numbered transaction of the whole server has ended between the readings, no row has changed, whatever the counters say; one that has not
 * ended has a session or is prepared, which the fence refuses. The log's position is not asked to stand still: checkpoints and the list of
 * running transactions move it every few seconds on a server at rest.
 *
 * Where the number has moved it may have been another database's transaction, or autovacuum's, which takes one for statistics and for cutting
 * a table's empty end: PostgreSQL does not tell whose it was, and the counters have to speak. They do as long as nobody has set them to
 * zero. After a crash or `pg_stat_reset` they are worth nothing, and what they would have to show is not proven: an UPDATE and a DELETE leave
 * nothing else that could be read in less time than the whole database.
 *
 * A sequence is written to the log only once in 32 values, as if all of them were used: after a crash it stands up to 32 steps further
 * (`SEQ_LOG_VALS`, src/backend/commands/sequence.c). Where the server was started anew and no transaction has ended, that is what moved it.
 *
 * Not covered: a superuser who turns off `track_counts` in a session that has ended, on a server whose other databases are written to.
 */
export function judgeMovements(before: Watermarks, after: Watermarks): Movements {
    const moved: string[] = [];
    const unproven: string[] = [];
    if (before.database !== after.database) moved.push(`another database: ${before.database}, then ${after.database}`);
    const ended = endedTransactions(before.position, after.position);
    // Of a token without it nothing is known of a restart, and what moved has moved.
    const restarted = before.serverStarted !== undefined && before.serverStarted !== after.serverStarted;
    for (const { name, was, is } of differences(before.sequences, after.sequences)) {
        const line = `sequence ${name}: ${was}, then ${is}`;
        if (!restarted) moved.push(line);
        else if (ended !== 0n) (isCrashStep(was, is) ? unproven : moved).push(line);
    }
    // Of a token without them nothing is known.
    if (before.tables !== undefined && after.tables !== undefined)
        for (const { name, was, is } of differences(before.tables, after.tables))
            moved.push(`file of table ${name}: ${was}, then ${is}`);
    const goneBack = wentBack(before.position, after.position);
    if (goneBack !== undefined) moved.push(goneBack);
    if (ended === 0n) return { moved, unproven };
    const [was, is] = [BigInt(before.rowChanges), BigInt(after.rowChanges)];
    const reset = wereReset(before.countersSince, after.countersSince);
    if (is > was && !reset) moved.push(`row changes: ${was}, then ${is}`);
    else if (is !== was || reset)
        unproven.push(
            `row counters were set to zero (${was}, then ${is}), by a crash or pg_stat_reset, and ` +
                `${ended === undefined ? "an unknown number of" : ended} transactions of this server have ended since: ` +
                "it cannot be proven that none of them changed a row here",
        );
    return { moved, unproven };
}

const loggedAhead = 32n;

/** Whether a crash alone may have moved a sequence of step 1 or -1, as all of Synapse's are, that far. */
function isCrashStep(was: string, is: string): boolean {
    if (![was, is].every((value) => /^-?\d+$/.test(value))) return was === "unused" && /^-?\d{1,2}$/.test(is);
    const steps = BigInt(is) - BigInt(was);
    return steps <= loggedAhead && steps >= -loggedAhead;
}

function differences(
    before: Readonly<Record<string, string>>,
    after: Readonly<Record<string, string>>,
): { name: string; was: string; is: string }[] {
    return [...new Set([...Object.keys(before), ...Object.keys(after)])].flatMap((name) => {
        const [was, is] = [before[name] ?? "absent", after[name] ?? "absent"];
        return was === is ? [] : [{ name, was, is }];
    });
}

type Position = Watermarks["position"];

/** A server that was restored, or failed over to one that lagged behind, has lost what was copied from it, and may have written since. */
function wentBack(before: Position, after: Position): string | undefined {
    if (before === undefined || after === undefined) return undefined;
    const back = BigInt(after.transaction) < BigInt(before.transaction) || BigInt(after.log) < BigInt(before.log);
    return back
        ? `the server has gone back, as after a restore or a failover: transaction ${before.transaction} at ${before.log}, then ${after.transaction} at ${after.log}`
        : undefined;
}

/** How many numbered transactions of the whole server have ended; undefined where a reading does not have it. */
function endedTransactions(before: Position, after: Position): bigint | undefined {
    if (before === undefined || after === undefined) return undefined;
    return BigInt(after.transaction) - BigInt(before.transaction);
}

/** Undefined of a token that does not have it. */
function wereReset(before: string | null | undefined, after: string | null | undefined): boolean {
    return before !== undefined && after !== undefined && before !== after;
}
