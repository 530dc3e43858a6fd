/** Waits for what a server does on its own, and never without an end. */
import { setTimeout as delay } from "node:timers/promises";

export interface Deadline {
    readonly seconds: number;
    /** Between two looks; 100 when absent. */
    readonly everyMilliseconds?: number;
    readonly signal?: AbortSignal | undefined;
}

/** Asks until the answer is there. @returns undefined when the time is over */
export async function waitFor<T>(
    ask: () => Promise<T | undefined>,
    { seconds, everyMilliseconds = 100, signal }: Deadline,
): Promise<T | undefined> {
    const end = performance.now() + seconds * 1000;
    for (;;) {
        signal?.throwIfAborted();
        const answer = await ask();
        if (answer !== undefined) return answer;
        if (performance.now() > end) return undefined;
        await delay(everyMilliseconds, undefined, signal === undefined ? {} : { signal });
    }
}
