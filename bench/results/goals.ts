/** What the project means to reach, against what was measured in the same run. */
import { median } from "./statistics.ts";
import type { BenchResult, MeasuredMethod, SizeResult } from "./results.ts";

export interface Goal {
    readonly title: string;
    /** Of the measured value. */
    readonly bound: { readonly atLeast: number } | { readonly atMost: number };
    readonly unit: "times" | "percent" | "seconds" | "MiB";
    /** Undefined where something it needs was not measured. */
    readonly found: number | undefined;
}

export const reached = ({ bound, found }: Goal): boolean | undefined =>
    found === undefined ? undefined : "atLeast" in bound ? found >= bound.atLeast : found <= bound.atMost;

/** For the largest measured size. */
export function goalsOf({ sizes }: BenchResult): Goal[] {
    const size = sizes.at(-1);
    if (size === undefined) return [];
    const seconds = (id: string, part?: string): number | undefined => secondsOf(size, id, part);
    const ratio = (a: number | undefined, b: number | undefined): number | undefined =>
        a === undefined || b === undefined ? undefined : a / b;
    const direct = seconds("direct");
    const check = size.methods.find(({ id }) => id === "direct")?.checks ?? [];
    const ours = [...size.methods.flatMap(({ runs }) => runs), ...size.downtime, ...size.strictDowntime];
    const peaks = ours.flatMap(({ peakBytes }) => peakBytes ?? []);
    const downtimes = sizes.map(({ downtime }) =>
        downtime.length === 0 ? undefined : median(downtime.map((run) => run.seconds)),
    );
    const downtime = downtimes.at(-1);
    const smaller = downtimes.length > 1 ? downtimes[0] : undefined;
    const strict = size.strictDowntime.length === 0 ? undefined : median(size.strictDowntime.map((run) => run.seconds));
    const share = ratio(strict, seconds("a1"));
    const times = (title: string, atLeast: number, found: number | undefined): Goal => ({
        title,
        bound: { atLeast },
        unit: "times",
        found,
    });
    return [
        times("direct copy against a1", 3, ratio(seconds("a1"), direct)),
        times("direct copy against a2", 4.5, ratio(seconds("a2"), direct)),
        times("direct copy against pg_dump -Fd and pg_restore", 1.1, ratio(seconds("directory"), direct)),
        times(
            "the same, statistics collected on both sides",
            1.1,
            ratio(withStatistics(size, "directory"), withStatistics(size, "direct")),
        ),
        times("direct copy against pgcopydb", 1.3, ratio(seconds("pgcopydb"), direct)),
        { title: "replicate: database part of the downtime", bound: { atMost: 2 }, unit: "seconds", found: downtime },
        {
            title: "replicate: downtime against that of the smallest size",
            bound: { atMost: 1.5 },
            unit: "times",
            found: ratio(downtime, smaller),
        },
        {
            title: "replicate with every row compared: downtime as a share of a1",
            bound: { atMost: 40 },
            unit: "percent",
            found: share === undefined ? undefined : share * 100,
        },
        times(
            "encrypted plain dump against gpg | gunzip | psql",
            1.2,
            ratio(seconds("a2", "restore"), seconds("load")),
        ),
        times("bundle dump against pg_dump | gzip | gpg", 5, ratio(seconds("a2", "dump"), seconds("bundle"))),
        {
            title: "comparing every row, as a share of the direct copy",
            bound: { atMost: 25 },
            unit: "percent",
            found: check.length === 0 || direct === undefined ? undefined : (median(check) / direct) * 100,
        },
        {
            title: "peak memory of our process",
            bound: { atMost: 256 },
            unit: "MiB",
            found: peaks.length === 0 ? undefined : Math.max(...peaks) / 2 ** 20,
        },
    ];
}

/** Median of a method's seconds, or of those of one of its parts. */
export function secondsOf(
    { methods }: { readonly methods: readonly MeasuredMethod[] },
    id: string,
    part?: string,
): number | undefined {
    const runs = methods.find((method) => method.id === id)?.runs ?? [];
    const values = runs.flatMap((run) => (part === undefined ? run.seconds : (run.parts[part] ?? [])));
    return values.length === 0 ? undefined : median(values);
}

/** Median seconds until the planner knows the tables. */
function withStatistics(size: SizeResult, id: string): number | undefined {
    const seconds = secondsOf(size, id);
    const statistics = size.methods.find((method) => method.id === id)?.statistics ?? [];
    return seconds === undefined ? undefined : seconds + (statistics.length === 0 ? 0 : median(statistics));
}
