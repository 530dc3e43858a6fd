/** Ends work that nothing comes of: a deadline that moves on as long as something does. */
import { MigrationError } from "../../run/errors.ts";

export interface Deadline {
    /** Aborted when the caller is, and when nothing happened for too long. */
    readonly signal: AbortSignal;
    /** Something happened: from now on the time counts anew. */
    readonly alive: () => void;
}

/**
 * @param seconds  how long nothing may happen
 * @throws MigrationError SM-E0990 when that is over; the signal's reason when the caller has aborted
 */
export async function withDeadline<T>(
    { seconds, where, signal }: { readonly seconds: number; readonly where: string; readonly signal: AbortSignal },
    work: (deadline: Deadline) => Promise<T>,
): Promise<T> {
    signal.throwIfAborted();
    const controller = new AbortController();
    const late = new MigrationError("SM-E0990", { where, found: `nothing came within ${seconds} s` });
    const timer = setTimeout(() => controller.abort(late), seconds * 1000);
    // Not AbortSignal.any(): a run's signal would remember each of a million requests.
    const end = (): void => controller.abort(signal.reason);
    signal.addEventListener("abort", end, { once: true });
    try {
        return await work({ signal: controller.signal, alive: () => void timer.refresh() });
    } catch (error) {
        signal.throwIfAborted();
        throw controller.signal.aborted ? late : error;
    } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
    }
}
