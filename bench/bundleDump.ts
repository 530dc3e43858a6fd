/**
 * The dump side of a bundle in directory format, for the bench: what `pg_dump | gzip | gpg -c` is measured against, as the first part of `a2`.
 * With and without reading every row of the database again to compare it with the dump, which that pipe cannot do.
 */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { generatedDatabase } from "./data/cache.ts";
import type { BundleDumpTask } from "./bundleDump/process.ts";
import type { Bench, Measurement, Method } from "./methods/method.ts";
import { inOwnProcess } from "./ownProcess.ts";
import { measurement } from "./results/results.ts";

const program = join(import.meta.dirname, "bundleDump", "process.ts");

export const bundle: Method = {
    id: "bundle",
    title: "bundle, dump only: -Fd, zstd, gpg, hashed",
    fillsTarget: false,
    collectsStatistics: false,
    measure: (bench) => measured(bench, false),
};

export const comparedBundle: Method = {
    id: "bundle-compared",
    title: "bundle, dump only, every row compared",
    fillsTarget: false,
    collectsStatistics: false,
    measure: (bench) => measured(bench, true),
};

async function measured(bench: Bench, compared: boolean): Promise<Measurement> {
    const { directory, programs, jobs, source, passphraseFile } = bench;
    const [run, files] = [join(directory, "bundle-run"), join(directory, "bundle")];
    for (const path of [run, files]) await mkdir(path, { mode: 0o700 });
    try {
        const address = source.address(generatedDatabase);
        const task: BundleDumpTask = { source: address, jobs, programs, run, files, passphraseFile, compared };
        return await inOwnProcess(program, task, measurement);
    } finally {
        for (const path of [run, files]) await rm(path, { recursive: true });
    }
}
