/** Runs the ways in turns: what the machine does meanwhile hits all of them alike. */
import type { Bench, Measurement, Method } from "./methods/method.ts";
import { verify } from "./methods/ours.ts";
import { collectStatistics } from "./methods/programs.ts";
import { endedChildrenSeconds } from "./processor.ts";
import type { MeasuredMethod, Processor } from "./results/results.ts";

const database = "copy";

interface Runs {
    readonly method: Method;
    readonly missing: string | undefined;
    readonly runs: Measurement[];
    readonly processor: Processor[];
    readonly statistics: number[];
    readonly checks: number[];
}

/**
 * @param rounds  each of them runs every way once, in an order that moves on by one
 * @throws Error when a way fails, or when its result is not the source
 */
export async function inTurns(
    bench: Bench,
    methods: readonly Method[],
    rounds: number,
    say: (line: string) => void,
): Promise<MeasuredMethod[]> {
    const all: Runs[] = methods.map((method) => ({
        ...{ method, missing: method.missing?.(bench) },
        ...{ runs: [], processor: [], statistics: [], checks: [] },
    }));
    const present = all.filter(({ missing }) => missing === undefined);
    for (let round = 0; round < rounds; round += 1) {
        for (const { method, runs, processor, statistics, checks } of rotated(present, round)) {
            await inDatabase(bench, async () => {
                const before = await processorSeconds(bench);
                const measured = await method.measure(bench, database);
                runs.push(measured);
                processor.push(difference(before, await processorSeconds(bench)));
                say(`round ${round + 1} of ${rounds}: ${method.id} ${measured.seconds.toFixed(1)} s`);
                if (method.fillsTarget && !method.collectsStatistics)
                    statistics.push(await collectStatistics(bench, database));
                if (method.fillsTarget) checks.push((await verify(bench, database)).seconds);
            });
        }
    }
    return all.map(({ method: { id, title }, missing, runs, processor, statistics, checks }) => ({
        ...{ id, title, runs, processor, statistics, checks },
        ...(missing === undefined ? {} : { missing }),
    }));
}

async function processorSeconds({ source, target }: Bench): Promise<Processor> {
    const [atSource, atTarget, programs] = await Promise.all([
        source.processorSeconds(),
        target.processorSeconds(),
        endedChildrenSeconds(process.pid),
    ]);
    return { source: atSource, target: atTarget, programs };
}

const difference = (before: Processor, after: Processor): Processor => ({
    source: after.source - before.source,
    target: after.target - before.target,
    programs: after.programs - before.programs,
});

/** The list from the element at that index on, then what was before it. */
export function rotated<T>(list: readonly T[], by: number): T[] {
    const at = list.length === 0 ? 0 : by % list.length;
    return [...list.slice(at), ...list.slice(0, at)];
}

/** With an empty database on the target, which is dropped afterwards. */
export async function inDatabase<T>({ target }: Bench, work: (database: string) => Promise<T>): Promise<T> {
    await target.createDatabase(database);
    try {
        return await work(database);
    } finally {
        await target.dropDatabase(database);
    }
}
