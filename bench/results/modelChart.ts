/** The model of the assessment over five orders of magnitude, and what was measured beside it. */
import { predict, type Move } from "../../engine/assess/sizeModel.ts";
import { median } from "./statistics.ts";
import type { BenchResult } from "./results.ts";
import { dot, label, line, svg } from "./svg.ts";

interface Curve {
    readonly title: string;
    readonly colour: string;
    /** Seconds of the database part; `bytes` of the database. */
    readonly seconds: (bytes: number) => number;
    /** Measured: bytes and seconds. */
    readonly points: readonly (readonly [bytes: number, seconds: number])[];
}

const [width, height] = [900, 520];
const plot = { left: 70, right: 250, top: 50, bottom: 50 };
/** Powers of ten. */
const range = { bytes: [8, 13], seconds: [-1, 6] } as const;
const byteNames = ["100 MB", "1 GB", "10 GB", "100 GB", "1 TB", "10 TB"];
const secondNames = ["0.1 s", "1 s", "10 s", "2 min", "17 min", "3 h", "28 h", "12 days"];
const steps = 50;

/** Both axes are logarithmic. */
export function modelChart(result: BenchResult): string {
    const title = "Seconds of the database part by its size: model and measurements";
    const grid = [
        ...byteNames.flatMap((name, index) => {
            const x = xOf(10 ** (range.bytes[0] + index));
            return [
                line(
                    [
                        [x, plot.top],
                        [x, height - plot.bottom],
                    ],
                    "#d0d7de",
                ),
                label(x, height - plot.bottom + 20, name, "middle"),
            ];
        }),
        ...secondNames.flatMap((name, index) => {
            const y = yOf(10 ** (range.seconds[0] + index));
            return [
                line(
                    [
                        [plot.left, y],
                        [width - plot.right, y],
                    ],
                    "#d0d7de",
                ),
                label(plot.left - 8, y + 4, name, "end"),
            ];
        }),
    ];
    const curves = curvesOf(result).flatMap(({ title: name, colour, seconds, points }, index) => {
        const path = Array.from({ length: steps + 1 }, (_, step) => {
            const bytes = 10 ** (range.bytes[0] + ((range.bytes[1] - range.bytes[0]) * step) / steps);
            return [xOf(bytes), yOf(seconds(bytes))] as const;
        });
        const y = plot.top + 16 + index * 22;
        return [
            line(path, colour, 'stroke-width="2"'),
            ...points.map(([bytes, measured]) => dot(xOf(bytes), yOf(measured), colour)),
            line(
                [
                    [width - plot.right + 12, y - 4],
                    [width - plot.right + 36, y - 4],
                ],
                colour,
                'stroke-width="2"',
            ),
            label(width - plot.right + 42, y, name),
        ];
    });
    const legend = label(width - plot.right + 12, height - plot.bottom, "dots: measured, median of the rounds");
    return svg({
        width,
        height,
        title,
        shapes: [label(16, 24, title, "start", 'font-weight="bold"'), ...grid, ...curves, legend],
    });
}

function curvesOf({ machine, jobs, sizes }: BenchResult): Curve[] {
    const database = (move: Omit<Move, "databaseBytes" | "mediaBytes">) => (databaseBytes: number) => {
        const { definitions, rows, indexes, verification, cutOver } = predict({
            ...move,
            databaseBytes,
            mediaBytes: 0,
        }).parts;
        return definitions + rows + indexes + verification + cutOver;
    };
    const here = { sourceCores: machine.cores, targetCores: machine.cores, sameMachine: true, jobs };
    const eight = { sourceCores: 8, targetCores: 8, sameMachine: false, jobs: 8 };
    const measured = sizes.flatMap(({ databaseBytes, methods }) => {
        const direct = methods.find(({ id }) => id === "direct");
        if (direct === undefined || direct.runs.length === 0) return [];
        return [[databaseBytes, median(direct.runs.map(({ seconds }) => seconds)) + median(direct.checks)] as const];
    });
    const strict = sizes.flatMap(({ databaseBytes, strictDowntime }) =>
        strictDowntime.length === 0
            ? []
            : [[databaseBytes, median(strictDowntime.map(({ seconds }) => seconds))] as const],
    );
    const downtimes = sizes.flatMap(({ databaseBytes, downtime }) =>
        downtime.length === 0 ? [] : [[databaseBytes, median(downtime.map(({ seconds }) => seconds))] as const],
    );
    return [
        {
            title: "archive, 8 cores on each side",
            colour: "#8c959f",
            seconds: database({ ...eight, mode: "archive" }),
            points: [],
        },
        {
            title: `direct, ${machine.cores} cores for both`,
            colour: "#1a7f37",
            seconds: database({ ...here, mode: "direct" }),
            points: measured,
        },
        {
            title: "direct, 8 cores on each side",
            colour: "#0969da",
            seconds: database({ ...eight, mode: "direct" }),
            points: [],
        },
        {
            title: "direct, 8 cores, 1 Gbit/s",
            colour: "#8250df",
            seconds: database({ ...eight, mode: "direct", networkBytesPerSecond: 117e6 }),
            points: [],
        },
        {
            title: `replicate, strict, ${machine.cores} cores for both`,
            colour: "#bc4c00",
            seconds: database({ ...here, mode: "replicate", strict: true }),
            points: strict,
        },
        { title: "replicate", colour: "#cf222e", seconds: database({ ...here, mode: "replicate" }), points: downtimes },
    ];
}

const xOf = (bytes: number): number => between(Math.log10(bytes), range.bytes, plot.left, width - plot.right);
const yOf = (seconds: number): number =>
    between(Math.log10(Math.max(seconds, 10 ** range.seconds[0])), range.seconds, height - plot.bottom, plot.top);

function between(value: number, [low, high]: readonly [number, number], from: number, to: number): number {
    return from + ((value - low) / (high - low)) * (to - from);
}
