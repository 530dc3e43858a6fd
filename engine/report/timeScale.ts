/** Where instants lie on the timeline: in proportion while something happened, with long pauses drawn short. Pure. */

export interface Interval {
    /** Milliseconds since 1970. */
    readonly from: number;
    readonly until: number;
}

interface Pause extends Interval {
    /** Percent of the width. */
    readonly at: number;
    readonly width: number;
}

export interface TimeScale extends Interval {
    /** Pauses that are drawn shorter than they were. */
    readonly pauses: readonly Pause[];
    /** Percent of the width, 0 to 100; instants outside of the scale are put at its ends. */
    position(instant: number): number;
}

/** Pauses shorter than this are drawn as long as they were. */
const shortestPause = 5000;

/** A scale over all the intervals; undefined when there are none. */
export function timeScale(intervals: readonly Interval[]): TimeScale | undefined {
    const merged = merge(intervals);
    const [first] = merged;
    const last = merged.at(-1);
    if (first === undefined || last === undefined) return undefined;
    const active = Math.max(
        1000,
        merged.reduce((sum, { from, until }) => sum + until - from, 0),
    );
    const threshold = Math.max(shortestPause, active / 8);
    const gaps = merged.slice(1).map(({ from }, index) => ({ from: merged[index]?.until ?? from, until: from }));
    const folded = gaps.filter(({ from, until }) => until - from > threshold);
    const foldedLength = Math.min(active * 0.05, (active * 0.3) / Math.max(1, folded.length));
    const lengthUpTo = (instant: number): number =>
        folded.reduce(
            (length, { from, until }) =>
                instant <= from
                    ? length
                    : length - (Math.min(instant, until) - from) * (1 - foldedLength / (until - from)),
            instant - first.from,
        );
    const whole = Math.max(1000, lengthUpTo(last.until));
    const position = (instant: number): number =>
        (100 * lengthUpTo(Math.min(last.until, Math.max(first.from, instant)))) / whole;
    const pauses = folded.map((gap) => ({ ...gap, at: position(gap.from), width: (100 * foldedLength) / whole }));
    return { from: first.from, until: last.until, pauses, position };
}

function merge(intervals: readonly Interval[]): Interval[] {
    const merged: Interval[] = [];
    for (const interval of [...intervals].sort((a, b) => a.from - b.from)) {
        const last = merged.at(-1);
        if (last === undefined || interval.from > last.until) merged.push(interval);
        else merged[merged.length - 1] = { from: last.from, until: Math.max(last.until, interval.until) };
    }
    return merged;
}
