/** What is said of several runs of the same thing. */

export interface Spread {
    readonly median: number;
    readonly min: number;
    readonly max: number;
}

/** @throws Error when there are none */
export function spread(values: readonly number[]): Spread {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = Math.floor(sorted.length / 2);
    const [low, high] = [sorted[sorted.length % 2 === 0 ? middle - 1 : middle], sorted[middle]];
    const [min, max] = [sorted[0], sorted.at(-1)];
    if (low === undefined || high === undefined || min === undefined || max === undefined) throw new Error("no values");
    return { median: (low + high) / 2, min, max };
}

export const median = (values: readonly number[]): number => spread(values).median;
