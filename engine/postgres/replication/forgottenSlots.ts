/** Slots that runs of this program have left on a server: each keeps write-ahead log until the disk is full. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { describeAddress, query, withClient, type Client, type DatabaseAddress } from "../connection.ts";
import { replicationPrefix } from "./names.ts";
import { dropPublication } from "./publication.ts";
import { dropSlot } from "./slot.ts";

const mebibyte = 1024 * 1024;

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

export function listSlots(address: DatabaseAddress): Promise<ProgramSlot[]> {
    return withClient(address, { step: "slots", readOnly: true }, slotsOfThisProgram);
}

/** A line each: whose it is, whether something reads from it, and how much it keeps. */
export function slotLines(slots: readonly ProgramSlot[]): string[] {
    if (slots.length === 0) return ["no slot of this program is on the server"];
    return slots.map(({ name, database, active, retainedBytes }) => {
        const kept = `${(retainedBytes / mebibyte).toFixed(1)} MiB of write-ahead log kept`;
        return `${name}  database ${database}  ${active ? "a target follows" : "nobody reads it"}  ${kept}`;
    });
}

/** @throws MigrationError SM-E1311 for a slot that a target reads from, or that is not of this program or database */
export async function dropForgotten(address: DatabaseAddress, name: string): Promise<void> {
    await withClient(address, { step: "slots" }, async (client) => {
        const slot = (await slotsOfThisProgram(client)).find((each) => each.name === name);
        if (slot === undefined || slot.active || slot.database !== address.name)
            throw new MigrationError("SM-E1311", {
                where: describeAddress(address),
                found:
                    slot === undefined
                        ? `no slot ${name} of this program`
                        : slot.active
                          ? `a target follows with slot ${name}`
                          : `slot ${name} is of database ${slot.database}`,
                expected: "a slot of this program and of this database that nobody reads",
            });
        await client.query("SET default_transaction_read_only = off");
        await dropSlot(client, name);
        await dropPublication(client, name);
    });
}
