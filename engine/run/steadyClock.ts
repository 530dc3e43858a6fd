/**
 * How long something took though the machine's clock was set meanwhile. What a clock says can be read and written by people; how long the
 * machine is up cannot be set, and means the same to every process until it is booted anew.
 */
import { readFileSync } from "node:fs";
import { uptime as secondsUp } from "node:os";
import { z } from "zod";

export const uptime = z.strictObject({
    /** Of `/proc/sys/kernel/random/boot_id`: seconds of different boots cannot be compared. */
    boot: z.string(),
    /** Since the boot, and while the machine slept (`CLOCK_BOOTTIME`). */
    seconds: z.number(),
});
export type Uptime = z.infer<typeof uptime>;

/** Undefined where the system does not tell its boots apart. */
export function readUptime(): Uptime | undefined {
    try {
        const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
        return { boot, seconds: secondsUp() };
    } catch {
        return undefined;
    }
}

/** One moment as both clocks had it. */
export interface Reading {
    /** ISO 8601, UTC: what the clock said that people read. */
    readonly at: string;
    /** Earlier versions did not write it down. */
    readonly uptime?: Uptime | undefined;
}

/** What a clock may be moved by without having been set: it is kept in time little by little. Milliseconds. */
const slightest = 1000;

/**
 * What to add to each instant, so that what lies between two of them is what has passed. The clock is taken to be right at the last one: it was
 * set because it had been wrong.
 *
 * Between readings of different boots only a clock that went backwards can be told from time that passed.
 *
 * @param readings  in the order in which they were made
 * @returns milliseconds, one for each reading
 */
export function clockShifts(readings: readonly Reading[]): number[] {
    const shifts: number[] = [];
    let shift = 0;
    for (let index = readings.length - 1; index >= 0; index--) {
        shifts[index] = shift;
        const [before, after] = [readings[index - 1], readings[index]];
        if (before !== undefined && after !== undefined) shift += setBy(before, after);
    }
    return shifts;
}

/** The instant, moved. */
export const shifted = (instant: string, milliseconds: number): string =>
    milliseconds === 0 ? instant : new Date(Date.parse(instant) + milliseconds).toISOString();

/** By how much the clock was set between two readings, milliseconds. */
function setBy(before: Reading, after: Reading): number {
    const shown = Date.parse(after.at) - Date.parse(before.at);
    const passed = secondsBetween(before.uptime, after.uptime);
    const by = passed === undefined ? Math.min(0, shown) : shown - passed * 1000;
    return Math.abs(by) <= slightest ? 0 : Math.round(by);
}

function secondsBetween(before: Uptime | undefined, after: Uptime | undefined): number | undefined {
    if (before === undefined || before.boot !== after?.boot || after.seconds < before.seconds) return undefined;
    return after.seconds - before.seconds;
}
