/** Takes everything back that following has put on both servers, each part on its own, and says what is left. */
import { MigrationError } from "../../run/errors.ts";
import type { Client } from "../connection.ts";
import { replicationName } from "./names.ts";
import { dropPublication } from "./publication.ts";
import { readRecord, removeRecord, writeRecord } from "./sourceChanges.ts";
import { resetIdentities } from "./replicaIdentity.ts";
import { onSource, onTarget, type Replication } from "./sides.ts";
import { dropSlot } from "./slot.ts";
import { dropSubscription } from "./subscription.ts";

/** What could not be taken back, one line each, with the statement that does it. */
export type Leftovers = string[];

/** Undoing goes on when the step itself is being stopped, but not for ever. */
const undoSeconds = 300;

/**
 * Removes subscription, slot and publication, and gives the tables of the source their replica identity back. What cannot be reached is
 * passed over; the slot goes also when the subscription cannot be removed.
 *
 * @param hasTarget  whether the incoming database is there
 */
export async function undoFollowing(replication: Replication, hasTarget: boolean): Promise<Leftovers> {
    const { run } = replication;
    const name = replicationName(run.id);
    const signal = AbortSignal.timeout(undoSeconds * 1000);
    const left: Leftovers = [];
    if (hasTarget)
        await part(left, `subscription ${name} in database ${replication.target.name} of the target`, () =>
            onTarget(replication, (client) => dropSubscription(client, name), signal),
        );
    const record = await readRecord(run.directory);
    if (record?.sourceCleared !== true) left.push(...(await clearSource(replication, signal)));
    if (left.length === 0) await removeRecord(run.directory);
    return left;
}

/** The source's part of {@link undoFollowing}; a record that it was done is kept. */
export async function clearSource(replication: Replication, signal: AbortSignal): Promise<Leftovers> {
    const { run } = replication;
    const name = replicationName(run.id);
    const record = await readRecord(run.directory);
    const left: Leftovers = [];
    const connected = await part(
        left,
        `the source's database ${replication.source.name}, which cannot be reached`,
        () => onSource(replication, (client) => clear(client, left), signal),
    );
    if (!connected)
        left.push(
            `slot ${name} on the source, which keeps write-ahead log until its disk is full: ` +
                `SELECT pg_drop_replication_slot('${name}')`,
            `publication ${name}, and replica identities of ${record?.identities.length ?? 0} tables`,
        );
    if (left.length === 0 && record !== undefined) await writeRecord(run.directory, { ...record, sourceCleared: true });
    return left;

    async function clear(client: Client, failures: Leftovers): Promise<void> {
        await part(failures, `slot ${name}: SELECT pg_drop_replication_slot('${name}')`, () => dropSlot(client, name));
        await part(failures, `publication ${name}: DROP PUBLICATION ${name}`, () => dropPublication(client, name));
        await part(failures, "replica identities: ALTER TABLE ... REPLICA IDENTITY DEFAULT", async () => {
            const needed = await resetIdentities(client, record?.identities ?? [], { signal });
            // Whoever needs them now took them over, or publishes the tables for another purpose.
            for (const table of needed) run.progress.note(`the replica identity of ${table} stays: it is published`);
        });
    }
}

/** @throws MigrationError SM-E1308 when something is left */
export function refuseLeftovers(left: Leftovers, where: string): void {
    if (left.length === 0) return;
    throw new MigrationError("SM-E1308", {
        where,
        found: left.join("\n"),
        expected: "no slot, no publication, no subscription, and the replica identities as they were",
        changed: "all else of the replication was taken back",
    });
}

async function part(left: Leftovers, what: string, work: () => Promise<unknown>): Promise<boolean> {
    try {
        await work();
        return true;
    } catch (error) {
        left.push(`${what} (${error instanceof Error ? error.message : String(error)})`);
        return false;
    }
}
