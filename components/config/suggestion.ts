/** "Did you mean": the known word that a mistyped one is closest to. */

/**
 * The candidate that fewest edits (insert, delete, replace, swap of neighbours) turn into the word, letter case aside; undefined when
 * none is closer than a third of the word's length and at least two edits.
 */
export function closest(word: string, candidates: readonly string[]): string | undefined {
    const limit = Math.max(2, Math.floor(word.length / 3));
    const ranked = candidates
        .map((candidate) => ({ candidate, edits: edits(word.toLowerCase(), candidate.toLowerCase()) }))
        .filter(({ edits }) => edits <= limit)
        .sort((a, b) => a.edits - b.edits);
    return ranked[0]?.candidate;
}

/** Optimal string alignment distance. */
function edits(from: string, to: string): number {
    let beforeLast: number[] = [];
    let last = Array.from({ length: to.length + 1 }, (_, column) => column);
    for (let row = 1; row <= from.length; row++) {
        const current = [row];
        for (let column = 1; column <= to.length; column++) {
            const same = from[row - 1] === to[column - 1];
            const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
            current[column] = Math.min(
                (last[column] ?? Infinity) + 1,
                (current[column - 1] ?? Infinity) + 1,
                (last[column - 1] ?? Infinity) + (same ? 0 : 1),
                swapped ? (beforeLast[column - 2] ?? Infinity) + 1 : Infinity,
            );
        }
        beforeLast = last;
        last = current;
    }
    return last[to.length] ?? Infinity;
}
