/** The one way to wait for what nothing announces: look again and again, and never without an end. */
import { setTimeout as delay } from "node:timers/promises";

export interface Wait {
    readonly seconds: number;
    /** Between the end of one look and the next; 100 when absent. */
    readonly everyMilliseconds?: number;
    readonly signal?: AbortSignal | undefined;
}

/**
 * Probes until there is a value.
 *
 * The clock is monotonic: a machine whose time is set meanwhile waits neither longer nor shorter. The probe is tried once at least, also with
 * zero seconds or a signal that is aborted already, and once more when the time is over, so that what came about during the last pause counts.
 * A probe is never cut short: one that may hang needs a deadline of its own, or the signal.
 *
 * @param probe  undefined means not yet, and nothing else does: a condition is written `isSo || undefined`. What it throws ends the wait
 * @param late  makes the error when the time is over
 * @returns the value; without `late`, undefined when the time is over
 * @throws the signal's reason as soon as it aborts, or, when it aborts during a probe, as soon as that has found nothing
 */
export async function until<T>(probe: () => Probed<T>, wait: Wait): Promise<T | undefined>;
export async function until<T>(probe: () => Probed<T>, wait: Wait, late: () => Error | Promise<Error>): Promise<T>;
export async function until<T>(
    probe: () => Probed<T>,
    { seconds, everyMilliseconds = 100, signal }: Wait,
    late?: () => Error | Promise<Error>,
): Promise<T | undefined> {
    const end = performance.now() + seconds * 1000;
    for (;;) {
        const isLast = performance.now() >= end;
        const found = await probe();
        if (found !== undefined) return found;
        signal?.throwIfAborted();
        if (isLast) {
            if (late === undefined) return undefined;
            throw await late();
        }
        await pause(Math.min(everyMilliseconds, end - performance.now()), signal);
    }
}

type Probed<T> = Promise<T | undefined> | T | undefined;

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
    // Node rejects with an error of its own, and has cleared the timer by then.
    await delay(Math.max(0, milliseconds), undefined, signal === undefined ? {} : { signal }).catch(
        (error: unknown) => {
            signal?.throwIfAborted();
            throw error;
        },
    );
}
