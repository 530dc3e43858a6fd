/** A limit of bytes a second that several streams share: a token bucket. */
import { setTimeout as wait } from "node:timers/promises";

/** Holds what may pass at once after a pause, in seconds of the rate. */
const burstSeconds = 0.25;

export class RateLimit {
    private readonly bytesPerSecond: number;
    private readonly now: () => number;
    /** Until when what has passed would have taken at the rate, in seconds of {@link now}. */
    private paidUntil: number;

    /** @param now  seconds that only go forward */
    constructor(bytesPerSecond: number, now: () => number = () => performance.now() / 1000) {
        if (!(bytesPerSecond > 0)) throw new RangeError("a rate above zero");
        this.bytesPerSecond = bytesPerSecond;
        this.now = now;
        this.paidUntil = now();
    }

    /** Seconds to wait before so many bytes may pass; they count as passed. */
    public delay(bytes: number): number {
        const now = this.now();
        const begin = Math.max(this.paidUntil, now - burstSeconds);
        this.paidUntil = begin + bytes / this.bytesPerSecond;
        return Math.max(0, begin - now);
    }

    public async pass(bytes: number, signal?: AbortSignal): Promise<void> {
        const seconds = this.delay(bytes);
        if (seconds > 0) await wait(seconds * 1000, undefined, signal === undefined ? {} : { signal });
    }
}
