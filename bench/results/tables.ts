/** Results as text: tables of Markdown, which people read in a terminal too. */
import { goalsOf, reached, secondsOf, type Goal } from "./goals.ts";
import { median, spread } from "./statistics.ts";
import type {
    BenchResult,
    DowntimeRun,
    Limits,
    MeasuredMethod,
    MediaSshPass,
    MediaSshResult,
    Processor,
    SizeResult,
} from "./results.ts";

const absent = "–";

/** All of it. */
export function describeResult(result: BenchResult): string {
    const { machine, versions, rounds, jobs } = result;
    const runs = `${rounds} ${rounds === 1 ? "round" : "rounds"}, ways in turns, ${jobs} jobs`;
    return [
        `${machine.cores} cores (${machine.model}), ${Math.round(machine.memoryBytes / 2 ** 30)} GiB; ${runs}`,
        Object.entries(versions)
            .map(([name, version]) => `${name} ${version}`)
            .join(", "),
        ...result.sizes.map((size) => describeSize(size, machine.cores)),
        ...(result.mediaSsh === undefined ? [] : [mediaSshTable(result.mediaSsh)]),
        ...(result.calibration === undefined ? [] : [calibrationText(result.calibration)]),
        ...goalSection(goalsOf(result).filter(({ found }) => found !== undefined)),
    ].join("\n\n");
}

function describeSize(size: SizeResult, cores: number): string {
    const { events, databaseBytes, methods, limits, downtime, strictDowntime } = size;
    return [
        `### ${megabytes(databaseBytes)} MB on disk, ${events} events`,
        ...(methods.length === 0 ? [] : [methodTable(size)]),
        ...(limits === undefined ? [] : [limitText(limits, methods, cores)]),
        ...(downtime.length === 0 ? [] : [downtimeTable(downtime, "replicate")]),
        ...(strictDowntime.length === 0 ? [] : [downtimeTable(strictDowntime, "replicate, every row compared")]),
    ].join("\n\n");
}

/** Two lines for each way: medians, from the fastest to the slowest run, and how many times as fast as rsync, by the clock and by the processor. */
export function mediaSshTable({ files, bytes, ways }: MediaSshResult): string {
    const passes = (wanted: string, part: "first" | "unchanged"): MediaSshPass[] =>
        ways.find(({ way }) => way === wanted)?.runs.map((run) => run[part]) ?? [];
    const rows = (["first", "unchanged"] as const).flatMap((part) =>
        ways.map(({ way }) => {
            const own = passes(way, part);
            const all = spread(own.map(({ seconds }) => seconds));
            const against = (other: string, of: "seconds" | "processor"): string => {
                const [theirs, ours] = [other, way].map((name) => median(passes(name, part).map((pass) => pass[of])));
                return `${((theirs ?? 0) / (ours ?? 1)).toFixed(2)}×`;
            };
            const peaks = own.flatMap(({ peakBytes }) => peakBytes ?? []);
            return [
                `${way}, ${part === "first" ? "everything new" : "nothing changed"}`,
                all.median.toFixed(2),
                `${all.min.toFixed(2)}..${all.max.toFixed(2)}`,
                against("rsync", "seconds"),
                against("rsync --fsync", "seconds"),
                median(own.map(({ processor }) => processor)).toFixed(1),
                against("rsync", "processor"),
                peaks.length === 0 ? absent : (Math.max(...peaks) / 2 ** 20).toFixed(0),
            ];
        }),
    );
    return [
        `### Media over ssh to loopback: ${files} files, ${megabytes(bytes)} MB`,
        table(
            ["way", "median s", "from..to s", "vs rsync", "vs rsync --fsync", "core-s", "core-s vs rsync", "peak MiB"],
            rows,
        ),
    ].join("\n\n");
}

/** A line for each way: median, from the fastest to the slowest run, and how many times as fast as a1 and a2. */
export function methodTable({ methods, databaseBytes }: Pick<SizeResult, "methods" | "databaseBytes">): string {
    const against = (id: string, seconds: number): string => {
        const other = secondsOf({ methods }, id);
        return other === undefined ? absent : `${(other / seconds).toFixed(2)}×`;
    };
    return table(
        [
            "way",
            "median s",
            "from..to s",
            "MB/s",
            "vs a1",
            "vs a2",
            "parts s",
            "core-s",
            "statistics s",
            "file MB",
            "peak MiB",
            "check s",
        ],
        methods.map(({ title, runs, processor, statistics, checks, missing }) => {
            if (runs.length === 0) return [title, missing ?? "not measured", ...Array.from({ length: 10 }, () => "")];
            const all = spread(runs.map((run) => run.seconds));
            const files = runs.flatMap(({ fileBytes }) => fileBytes ?? []);
            const peaks = runs.flatMap(({ peakBytes }) => peakBytes ?? []);
            return [
                title,
                all.median.toFixed(1),
                `${all.min.toFixed(1)}..${all.max.toFixed(1)}`,
                (databaseBytes / 1e6 / all.median).toFixed(0),
                against("a1", all.median),
                against("a2", all.median),
                partsText(runs.map(({ parts }) => parts)),
                processorText(processor),
                statistics.length === 0 ? absent : median(statistics).toFixed(1),
                files.length === 0 ? absent : megabytes(median(files)),
                peaks.length === 0 ? absent : (Math.max(...peaks) / 2 ** 20).toFixed(0),
                checks.length === 0 ? absent : median(checks).toFixed(1),
            ];
        }),
    );
}

/** How near each way comes to what the processors must do anyway. */
function limitText(limits: Limits, methods: readonly MeasuredMethod[], cores: number): string {
    const { copyOut, copyIn, hashes, indexes, rowBytes, indexBytes } = limits;
    const rate = (bytes: number, seconds: number): string => `${(bytes / 1e6 / seconds).toFixed(0)} MB/s`;
    const atBest = (copyOut + copyIn + indexes) / cores;
    const reached = methods.flatMap(({ id, runs, checks }) =>
        runs.length === 0 || checks.length === 0
            ? []
            : [`${id} ${Math.round((atBest / median(runs.map(({ seconds }) => seconds))) * 100)} %`],
    );
    const direct = secondsOf({ methods }, "direct");
    return [
        `The machine's limit is ${atBest.toFixed(1)} s: what server processes need for these rows, over ${cores} cores. Core-seconds:`,
        table(
            ["", "s", "rate"],
            [
                ["COPY out", copyOut.toFixed(1), `${rate(rowBytes, copyOut)} of rows`],
                ["COPY in", copyIn.toFixed(1), `${rate(rowBytes, copyIn)} of rows`],
                ["indexes and keys", indexes.toFixed(1), `${rate(indexBytes, indexes)} of indexes`],
                ["hashing, one side (not in the limit)", hashes.toFixed(1), `${rate(rowBytes, hashes)} of rows`],
            ],
        ),
        ...(reached.length === 0 ? [] : [`Of that limit each way reaches: ${reached.join(", ")}.`]),
        ...(direct === undefined
            ? []
            : [
                  `The direct copy hashes its source, too, and so has the processors at work for ${Math.round(((atBest * cores + hashes) / cores / direct) * 100)} % of its time.`,
              ]),
    ].join("\n\n");
}

function downtimeTable(runs: readonly DowntimeRun[], title: string): string {
    const rows = (name: keyof Pick<DowntimeRun, "before" | "downtime">): string[][] => {
        const parts = [...new Set(runs.flatMap((run) => Object.keys(run[name])))];
        return parts.map((part) => {
            const all = spread(runs.flatMap((run) => run[name][part] ?? []));
            return [
                `${name === "before" ? "before it" : "downtime"}: ${part}`,
                all.median.toFixed(2),
                `${all.min.toFixed(2)}..${all.max.toFixed(2)}`,
            ];
        });
    };
    const all = spread(runs.map(({ seconds }) => seconds));
    const errors = runs.reduce((sum, run) => sum + run.errors, 0);
    const events = runs.reduce((sum, run) => sum + run.events, 0);
    return [
        table(
            [title, "median s", "from..to s"],
            [
                ...rows("before"),
                ...rows("downtime"),
                ["**downtime**", all.median.toFixed(2), `${all.min.toFixed(2)}..${all.max.toFixed(2)}`],
            ],
        ),
        `The writer made ${events} events and met ${errors} errors.`,
    ].join("\n\n");
}

const calibrationText = ({ copyIn, index }: NonNullable<BenchResult["calibration"]>): string =>
    `The assessment's calibration finds ${(copyIn / 1e6).toFixed(0)} MB/s of rows and ${(index / 1e6).toFixed(0)} MB/s of an index here.`;

const goalSection = (goals: readonly Goal[]): string[] =>
    goals.length === 0 ? [] : ["### Goals, at the largest size", goalTable(goals)];

function goalTable(goals: readonly Goal[]): string {
    const unit = { times: "×", percent: " %", seconds: " s", MiB: " MiB" } as const;
    return table(
        ["figure", "goal", "found", ""],
        goals.map((goal) => {
            const { title, bound, found } = goal;
            const limit = "atLeast" in bound ? `≥ ${bound.atLeast}` : `≤ ${bound.atMost}`;
            const verdict = reached(goal);
            const digits = goal.unit === "times" || goal.unit === "seconds" ? 2 : 0;
            return [
                title,
                `${limit}${unit[goal.unit]}`,
                found === undefined ? absent : `${found.toFixed(digits)}${unit[goal.unit]}`,
                verdict === undefined ? "not measured" : verdict ? "reached" : "missed",
            ];
        }),
    );
}

/** `12.0: source 3.0, target 8.0, programs 1.0`. */
function processorText(runs: readonly Processor[]): string {
    if (runs.length === 0) return absent;
    const of = (name: keyof Processor): number => median(runs.map((run) => run[name]));
    const names = ["source", "target", "programs"] as const;
    const sum = names.reduce((all, name) => all + of(name), 0);
    return `${sum.toFixed(1)}: ${names.map((name) => `${name} ${of(name).toFixed(1)}`).join(", ")}`;
}

function partsText(all: readonly Readonly<Record<string, number>>[]): string {
    const names = [...new Set(all.flatMap((parts) => Object.keys(parts)))];
    return names.map((name) => `${name} ${median(all.flatMap((parts) => parts[name] ?? [])).toFixed(1)}`).join(", ");
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(0);

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
    const line = (cells: readonly string[]): string =>
        `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
    return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
