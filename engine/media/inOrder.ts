/** Works on several items at a time and gives the results in the order of the items. */

/** @param width  how many items are worked on at a time; all begun work has ended when this ends, however it ends */
export async function* inOrder<Item, Result>(
    items: AsyncIterable<Item>,
    width: number,
    work: (item: Item) => Promise<Result>,
): AsyncGenerator<Result> {
    const begun: Promise<Result>[] = [];
    try {
        for await (const item of items) {
            const result = work(item);
            // Looked at when its turn comes; until then a failure is not an unhandled one.
            result.catch(() => undefined);
            begun.push(result);
            const first = begun.length < width ? undefined : begun.shift();
            if (first !== undefined) yield await first;
        }
        for (let first = begun.shift(); first !== undefined; first = begun.shift()) yield await first;
    } finally {
        await Promise.allSettled(begun);
    }
}
