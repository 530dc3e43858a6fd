/** One dump into a bundle in a process of its own: see ../bundleDump.ts. A task on standard input, what was measured on standard output. */
import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { z } from "zod";
import { writeDirectoryDump } from "../../engine/bundle/dump/directoryDump/write.ts";
import { compareDumpedTables, tablesToDump } from "../../engine/bundle/dump/dumpedTables.ts";
import { queryOne, withClient } from "../../engine/postgres/connection.ts";
import { tableLineDigests } from "../../engine/postgres/plainDump/lineDigest.ts";
import type { Measurement } from "../results/results.ts";
import { addressShape } from "../tasks/task.ts";

const taskShape = z.strictObject({
    source: addressShape,
    jobs: z.number().int().min(1),
    programs: z.string(),
    /** Mode 0700. */
    run: z.string(),
    /** Mode 0700, empty. */
    files: z.string(),
    passphraseFile: z.string(),
    /** Whether all rows are read once more. */
    compared: z.boolean(),
});
export type BundleDumpTask = z.infer<typeof taskShape>;

const step = "bench";

const task = taskShape.parse(JSON.parse(await text(process.stdin)));
const passphrase = (await readFile(task.passphraseFile, "utf8")).trim();
const began = performance.now();
const seconds = (): number => (performance.now() - began) / 1000;
const { fileBytes, parts } = await withClient(
    task.source,
    { step, readOnly: true, statementSeconds: 0 },
    async (client) => {
        await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
        const { snapshot } = await queryOne(
            client,
            z.object({ snapshot: z.string() }),
            "SELECT pg_export_snapshot() AS snapshot",
        );
        const tables = await tablesToDump(client);
        const { run: runDirectory, files: directory, jobs, source: address, programs: clientDirectory } = task;
        const dumping = writeDirectoryDump({
            ...{ address, step, clientDirectory, snapshot, tables, jobs: Math.max(2, jobs) },
            place: { bundle: { directory }, passphrase, runDirectory, signal: new AbortController().signal },
        }).then((dumped) => ({ dumped, dump: seconds() }));
        const digesting = task.compared ? tableLineDigests(address, tables, { jobs, snapshot }) : undefined;
        const [{ dumped, dump }, digests] = await Promise.all([dumping, digesting]);
        const problems = digests === undefined ? [] : compareDumpedTables(dumped, digests);
        if (problems.length > 0) throw new Error(`the dump is not the database: ${problems.slice(0, 5).join("; ")}`);
        const fileBytes = dumped.artefacts.reduce((sum, { bytes }) => sum + bytes, 0);
        return { fileBytes, parts: { dump, ...(digests === undefined ? {} : { compare: seconds() - dump }) } };
    },
);
const measured: Measurement = {
    ...{ seconds: seconds(), parts, fileBytes },
    peakBytes: process.resourceUsage().maxRSS * 1024,
};
process.stdout.write(`${JSON.stringify(measured)}\n`);
