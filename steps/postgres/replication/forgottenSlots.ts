/** Slots that runs of this program have left on a server: each keeps write-ahead log until the disk is full. */
import { z } from "zod";
import { query, type Client } from "../connection.ts";
import { replicationPrefix } from "./names.ts";

/** A slot that a run of this program has made. */
export interface ProgramSlot {
    readonly name: string;
    readonly database: string;
    /** Something reads from it: a target follows. */
    readonly active: boolean;
    /** Of write-ahead log that is kept for it. */
    readonly retainedBytes: number;
    /** `unreserved` when the server is about to remove what it needs, `lost` when it has; null where there is nothing to keep. */
    readonly walStatus: string | null;
}

const slotShape = z.object({
    ...{ name: z.string(), database: z.string(), active: z.boolean(), walStatus: z.string().nullable() },
    retainedBytes: z.coerce.number(),
});

/** Slots that any run of this program has made on the server, in whichever database. */
export async function slotsOfThisProgram(client: Client): Promise<ProgramSlot[]> {
    return query(
        client,
        slotShape,
        `SELECT slot_name AS name, coalesce(database, '') AS database, active, wal_status AS "walStatus",
            coalesce(greatest(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0), 0)::text AS "retainedBytes"
        FROM pg_replication_slots WHERE starts_with(slot_name, $1) ORDER BY slot_name`,
        [replicationPrefix],
    );
}
