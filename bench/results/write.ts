/** Writes what a bench has found out: JSON, Markdown, a chart for each size, and the model's. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { barChart } from "./barChart.ts";
import { modelChart } from "./modelChart.ts";
import type { BenchResult } from "./results.ts";
import { describeResult } from "./tables.ts";

const ownWays = new Set(["direct", "load", "bundle", "bundle-compared"]);

/** @returns paths of what was written */
export async function writeResult(directory: string, result: BenchResult): Promise<string[]> {
    await mkdir(directory, { recursive: true });
    const charts = result.sizes
        .filter(({ methods }) => methods.some(({ runs }) => runs.length > 0))
        .map(({ events, databaseBytes, methods }) => ({
            name: `bench-${events}.svg`,
            content: barChart(
                `${(databaseBytes / 1e6).toFixed(0)} MB: seconds, median of ${result.rounds}, on ${result.machine.cores} cores`,
                methods.map(({ id, title, runs }) => ({
                    title,
                    values: runs.map(({ seconds }) => seconds),
                    ours: ownWays.has(id),
                })),
            ),
        }));
    const files = [
        { name: "bench.json", content: `${JSON.stringify(result, undefined, 4)}\n` },
        {
            name: "bench.md",
            content: `${[describeResult(result), ...charts.map(({ name }) => `![](${name})`)].join("\n\n")}\n`,
        },
        ...charts,
        { name: "performance.svg", content: modelChart(result) },
    ];
    for (const { name, content } of files) await writeFile(join(directory, name), content);
    return files.map(({ name }) => join(directory, name));
}
