/** A few things at a time. */

/** More than a handful at once makes Synapse, which is one process, slower and not faster. */
export const parallelism = 4;

/**
 * Maps items to results in their order, {@link parallelism} at a time. After a failure nothing new is begun, what was begun is
 * waited for, and the first failure is thrown.
 */
export async function inParallel<Item, Result>(
    items: readonly Item[],
    work: (item: Item, index: number) => Promise<Result>,
): Promise<Result[]> {
    const queue = items.entries();
    const results = new Map<number, Result>();
    const failures: unknown[] = [];
    const worker = async (): Promise<void> => {
        for (const [index, item] of queue) {
            if (failures.length > 0) return;
            try {
                results.set(index, await work(item, index));
            } catch (error) {
                failures.push(error);
            }
        }
    };
    await Promise.all(Array.from({ length: parallelism }, worker));
    if (failures.length > 0) {
        const [first] = failures;
        throw first instanceof Error ? first : new Error(String(first));
    }
    return [...results].sort(([a], [b]) => a - b).map(([, result]) => result);
}
