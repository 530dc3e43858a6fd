/** Works on several items at a time and gives the results in the order of the items. */

/** What the items that are worked on may have altogether, of memory for example; one of them is worked on, however much it has. */
export interface Load<Item> {
    readonly of: (item: Item) => number;
    readonly most: number;
}

/** @param width  how many items are worked on at a time; all begun work has ended when this ends, however it ends */
export async function* inOrder<Item, Result>(
    items: AsyncIterable<Item>,
    width: number,
    work: (item: Item) => Promise<Result>,
    load?: Load<Item>,
): AsyncGenerator<Result> {
    const begun: { readonly result: Promise<Result>; readonly load: number }[] = [];
    let loaded = 0;
    const next = (): Promise<Result> | undefined => {
        const first = begun.shift();
        loaded -= first?.load ?? 0;
        return first?.result;
    };
    const isFull = (): boolean => begun.length >= width || (load !== undefined && loaded >= load.most);
    try {
        for await (const item of items) {
            const result = work(item);
            // Looked at when its turn comes; until then a failure is not an unhandled one.
            result.catch(() => undefined);
            const own = load?.of(item) ?? 0;
            begun.push({ result, load: own });
            loaded += own;
            for (let first = isFull() ? next() : undefined; first !== undefined; first = isFull() ? next() : undefined)
                yield await first;
        }
        for (let first = next(); first !== undefined; first = next()) yield await first;
    } finally {
        await Promise.allSettled(begun.map(({ result }) => result));
    }
}
