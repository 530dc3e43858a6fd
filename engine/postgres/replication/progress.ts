/** How far the target is behind, as time and as bytes, and whether it still moves. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { until, type Wait } from "../../run/until.ts";
import { queryOne, type Client } from "../connection.ts";
import { readSlot } from "./slot.ts";
import { readSubscription } from "./subscription.ts";

/** The two sessions that are asked: in the source's database, and in the target's incoming one. */
export interface Sides {
    readonly source: Client;
    readonly target: Client;
    /** Of slot and subscription. */
    readonly name: string;
}

export interface Lag {
    /** How long the target took to confirm what the source had written when it was asked. */
    readonly seconds: number;
    /** What the source wrote since the target's last confirmation. */
    readonly bytes: number;
    /** Times that the target's worker failed since the subscription was made; it begins again by itself. */
    readonly errors: number | null;
}

const pollMilliseconds = 10;
/** Between two looks at what the worker says of itself. */
const workerMilliseconds = 1000;

export interface PositionDeadline extends Wait {
    /** Called once, when the worker has failed meanwhile; it begins again by itself every five seconds. */
    readonly onFailure?: (() => Promise<void>) | undefined;
}

/** Position up to which the source has written. */
export async function currentPosition(source: Client): Promise<string> {
    const { position } = await queryOne(
        source,
        z.object({ position: z.string() }),
        "SELECT pg_current_wal_insert_lsn()::text AS position",
    );
    return position;
}

/**
 * Waits until the target has confirmed the position, on its disk.
 *
 * @returns the seconds that it took
 * @throws MigrationError SM-E1305 when the slot or the subscription is gone or disabled, and when the deadline passes
 */
export async function waitForPosition(sides: Sides, position: string, deadline: PositionDeadline): Promise<number> {
    const began = performance.now();
    const errorsBefore = (await requireFollowing(sides)).errors;
    let { onFailure } = deadline;
    let looked = began;
    await until(
        async () => {
            if (onFailure !== undefined && performance.now() > looked + workerMilliseconds) {
                looked = performance.now();
                if (((await requireFollowing(sides)).errors ?? 0) > (errorsBefore ?? 0)) {
                    await onFailure();
                    onFailure = undefined;
                }
            }
            const { done, present } = await queryOne(
                sides.source,
                z.object({ done: z.boolean().nullable(), present: z.boolean() }),
                `SELECT bool_or(confirmed_flush_lsn >= $2::pg_lsn) AS done, count(*) > 0 AS present
                FROM pg_replication_slots WHERE slot_name = $1`,
                [sides.name, position],
            );
            if (!present) await requireFollowing(sides);
            return done === true || undefined;
        },
        { everyMilliseconds: pollMilliseconds, ...deadline },
        async () => {
            const { errors, worker } = await requireFollowing(sides);
            const failed = errors !== null && errorsBefore !== null && errors > errorsBefore;
            return notFollowing(
                sides,
                `position ${position} is not confirmed after ${deadline.seconds} s; ` +
                    (failed
                        ? `the worker failed ${errors - errorsBefore} times meanwhile`
                        : worker === null
                          ? "no worker applies changes"
                          : "the worker is still at work"),
            );
        },
    );
    return (performance.now() - began) / 1000;
}

/** Measures the lag. @throws MigrationError SM-E1305 as {@link waitForPosition} */
export async function measureLag(sides: Sides, deadline: PositionDeadline): Promise<Lag> {
    const seconds = await waitForPosition(sides, await currentPosition(sides.source), deadline);
    const { bytes } = await queryOne(
        sides.source,
        z.object({ bytes: z.coerce.number() }),
        `SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), confirmed_flush_lsn)::text AS bytes
        FROM pg_replication_slots WHERE slot_name = $1`,
        [sides.name],
    );
    const { errors } = await requireFollowing(sides);
    return { seconds: Math.round(seconds * 1000) / 1000, bytes: Math.max(0, bytes), errors };
}

/** @throws MigrationError SM-E1305 unless slot and subscription are there and able to go on */
export async function requireFollowing(sides: Sides): Promise<{ errors: number | null; worker: number | null }> {
    const slot = await readSlot(sides.source, sides.name);
    if (slot === undefined) throw notFollowing(sides, "the slot on the source is gone");
    if (slot.walStatus === "lost")
        throw notFollowing(sides, "the source has removed write-ahead log that the target still needed");
    const subscription = await readSubscription(sides.target, sides.name);
    if (subscription === undefined) throw notFollowing(sides, "the subscription on the target is gone");
    if (!subscription.enabled) throw notFollowing(sides, "the subscription on the target is disabled");
    return subscription;
}

export function notFollowing({ name }: Pick<Sides, "name">, found: string): MigrationError {
    return new MigrationError("SM-E1305", {
        where: `slot and subscription ${name}`,
        found,
        expected: "a target that takes over what the source writes",
    });
}
