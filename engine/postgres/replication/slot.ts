/**
 * The replication slot on the source. It keeps the write-ahead log from where the target has confirmed, for ever: a slot that nobody
 * reads fills the source's disk.
 */
import { escapeIdentifier, type Client as PgClient } from "pg";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { until } from "../../run/until.ts";
import { describeAddress, query, type Client, type DatabaseAddress } from "../connection.ts";
import { openClient } from "../databaseTls.ts";

const releaseSeconds = 30;
const connectMilliseconds = 10_000;

/** A slot and the snapshot at which it begins, held open by the connection that made it. */
export interface HeldSlot {
    /** For `SET TRANSACTION SNAPSHOT`. */
    readonly snapshot: string;
    readonly consistentPoint: string;
    /** Aborted when the connection is lost, and with it the snapshot. */
    readonly lost: AbortSignal;
    /** Ends the connection; the slot stays. */
    readonly release: () => Promise<void>;
}

const createdShape = z.object({ snapshot_name: z.string(), consistent_point: z.string() });

/**
 * Makes the slot over a replication connection. It exists once all transactions that run now have ended (PostgreSQL manual 49.2.5).
 *
 * @param createSeconds  how long that is waited for
 * @throws MigrationError SM-E1301 where the server does not take such a connection or has no slot left, SM-E1305 naming the transaction
 *     that is waited for in vain
 */
export async function createSlot(
    address: DatabaseAddress,
    name: string,
    observer: Client,
    signal: AbortSignal,
    createSeconds = 300,
): Promise<HeldSlot> {
    const client = await replicationConnection(address);
    const lost = new AbortController();
    let released = false;
    client.on("end", () => {
        if (!released) lost.abort(lostSnapshot(address));
    });
    const release = async (): Promise<void> => {
        released = true;
        await client.end().catch(() => undefined);
    };
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), createSeconds * 1000);
    const gone = AbortSignal.any([signal, end.signal]);
    try {
        const created = client.query(
            `CREATE_REPLICATION_SLOT ${escapeIdentifier(name)} LOGICAL pgoutput EXPORT_SNAPSHOT`,
        );
        const result = await Promise.race([created, aborted(gone)]);
        const [row] = z.array(createdShape).parse(result.rows);
        if (row === undefined) throw new Error("the server made a slot and said nothing of it");
        return { snapshot: row.snapshot_name, consistentPoint: row.consistent_point, lost: lost.signal, release };
    } catch (error) {
        await release();
        signal.throwIfAborted();
        if (end.signal.aborted) throw await waitedInVain(address, observer, createSeconds);
        throw new MigrationError("SM-E1301", {
            where: describeAddress(address),
            found: error instanceof Error ? error.message : String(error),
            expected: "a replication slot with a snapshot",
            cause: error,
        });
    } finally {
        clearTimeout(timer);
    }
}

/** A connection on which the server takes replication commands, in the database's own name. */
async function replicationConnection(address: DatabaseAddress): Promise<PgClient> {
    const settings = {
        application_name: "synapse-migration slot",
        connectionTimeoutMillis: connectMilliseconds,
        keepAlive: true,
        replication: "database",
        // The connection is idle in a transaction for as long as the copy takes.
        options: "-c idle_in_transaction_session_timeout=0 -c statement_timeout=0",
    };
    try {
        return await openClient(address, settings);
    } catch (error) {
        if (error instanceof MigrationError) throw error;
        throw new MigrationError("SM-E1301", {
            where: describeAddress(address),
            found: `no replication connection: ${error instanceof Error ? error.message : String(error)}`,
            expected: "a connection to the server itself, of a role with the attribute REPLICATION",
            cause: error,
        });
    }
}

/**
 * Asks the server over a replication connection who it is.
 *
 * @returns its system identifier
 * @throws MigrationError SM-E1301, also where a pooler answers that does not pass replication on
 */
export async function identifySystem(address: DatabaseAddress): Promise<string> {
    const client = await replicationConnection(address);
    try {
        const { rows } = await client.query("IDENTIFY_SYSTEM");
        const [row] = z.array(z.object({ systemid: z.string() })).parse(rows);
        return row?.systemid ?? "";
    } finally {
        await client.end().catch(() => undefined);
    }
}

const slotShape = z.object({
    active: z.boolean(),
    activePid: z.number().nullable(),
    confirmed: z.string().nullable(),
    /** Bytes of write-ahead log that only it keeps. */
    retainedBytes: z.coerce.number(),
    /** `lost` when the server has removed what it needed: `max_slot_wal_keep_size`. */
    walStatus: z.string().nullable(),
});
export type SlotState = z.infer<typeof slotShape>;

/** Undefined where there is no slot of this name. */
export async function readSlot(client: Client, name: string): Promise<SlotState | undefined> {
    const [row] = await query(
        client,
        slotShape,
        `SELECT active, active_pid AS "activePid", confirmed_flush_lsn::text AS confirmed, wal_status AS "walStatus",
            coalesce(greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0), 0)::text AS "retainedBytes"
        FROM pg_replication_slots WHERE slot_name = $1`,
        [name],
    );
    return row;
}

/**
 * Drops the slot, whoever reads from it: a subscription that cannot be reached would otherwise keep it for ever.
 *
 * @returns whether there was one
 * @throws Error with what the server said when it is still there after half a minute
 */
export async function dropSlot(client: Client, name: string): Promise<boolean> {
    let refusal: unknown;
    const dropped = await until(
        async () => {
            const slot = await readSlot(client, name);
            if (slot === undefined) return refusal === undefined ? "absent" : "dropped";
            if (slot.activePid !== null) await client.query("SELECT pg_terminate_backend($1)", [slot.activePid]);
            try {
                await client.query("SELECT pg_drop_replication_slot($1)", [name]);
                return "dropped";
            } catch (error) {
                refusal = error;
                return undefined;
            }
        },
        { seconds: releaseSeconds },
    );
    if (dropped === undefined) throw refusal;
    return dropped === "dropped";
}

function aborted(signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
        const stop = (): void => reject(signal.reason instanceof Error ? signal.reason : new Error("stopped"));
        if (signal.aborted) stop();
        signal.addEventListener("abort", stop, { once: true });
    });
}

async function waitedInVain(
    address: DatabaseAddress,
    observer: Client,
    createSeconds: number,
): Promise<MigrationError> {
    const running = await query(
        observer,
        z.object({ pid: z.number(), application: z.string().nullable(), since: z.string() }),
        `SELECT pid, application_name AS application, xact_start::text AS since FROM pg_stat_activity
        WHERE backend_xid IS NOT NULL ORDER BY xact_start LIMIT 3`,
    );
    return new MigrationError("SM-E1305", {
        where: describeAddress(address),
        found: `transactions that do not end, after ${createSeconds} s: ${running
            .map(({ pid, application, since }) => `pid ${pid}, application "${application ?? ""}", since ${since}`)
            .join("; ")}`,
        expected: "a moment at which every transaction that was running has ended",
        fix: "end the named transactions, then run the same command again",
    });
}

const lostSnapshot = (address: DatabaseAddress): MigrationError =>
    new MigrationError("SM-E1305", {
        where: describeAddress(address),
        found: "the connection that holds the snapshot was lost while the copy was made from it",
        expected: "one connection to the source that lasts as long as the copy",
        fix: "did the source's server restart, or is there a firewall that drops idle connections? Then run the same command again",
    });
