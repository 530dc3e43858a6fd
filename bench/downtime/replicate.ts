/** One replication under a writer, from the first preparation to a target that may start, measured in its parts. */
import { z } from "zod";
import { withClient } from "../../engine/postgres/connection.ts";
import { copyDatabase } from "../../engine/postgres/directCopy/copyDatabase.ts";
import { tableFingerprints } from "../../engine/postgres/compare/fingerprint.ts";
import { catchUp } from "../../engine/postgres/replication/catchUp.ts";
import { follow } from "../../engine/postgres/replication/follow.ts";
import { settle } from "../../engine/postgres/replication/settle.ts";
import type { Replication } from "../../engine/postgres/replication/sides.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";
import { addressShape } from "../tasks/task.ts";
import type { DowntimeRun } from "../results/results.ts";
import { startWriter } from "./writer.ts";

export const replicateShape = z.strictObject({
    source: addressShape,
    /** As a role that may make subscriptions. */
    target: addressShape,
    owner: addressShape,
    jobs: z.number().int().min(1),
    /** For the run's records. */
    directory: z.string(),
    programs: z.string(),
    eventsPerSecond: z.number().int().min(1),
    verify: z.enum(["quick", "strict"]),
});

type Task = z.infer<typeof replicateShape>;
type Parts = Record<string, number>;

/** @throws Error when the writer met an error, or when a row differs afterwards */
export async function replicate(task: Task): Promise<Omit<DowntimeRun, "peakBytes">> {
    const { source, target, owner, jobs, directory, programs, eventsPerSecond, verify } = task;
    const run = {
        ...{ id: "bench", directory, signal: new AbortController().signal },
        progress: lineProgress("bench", () => undefined, redact),
    };
    const replication: Replication = { run, step: "bench", source, target, owner };
    const [before, downtime]: [Parts, Parts] = [{}, {}];
    const writer = await startWriter(source, eventsPerSecond);
    const stopWriter = once(() => writer.stop());
    try {
        const { digest, seconds: copying } = await timed(before, "all", () =>
            follow(replication, {
                jobs,
                copy: (copy, during) =>
                    copyDatabase({ ...copy, clientDirectory: programs, standsStill: false }, { ...run, ...during }),
            }),
        );
        before["copy and comparison"] = copying;
        await timed(before, "coming close", () => settle(replication, { digest }));
        const began = performance.now();
        const { events, errors } = await timed(downtime, "writer stopped", stopWriter);
        await timed(downtime, "source fenced", () => fence(source));
        const { parts } = await catchUp(replication, { digest, verify, jobs });
        const seconds = (performance.now() - began) / 1000;
        Object.assign(downtime, parts);
        if (errors.length > 0) throw new Error(`the writer met errors: ${errors.slice(0, 3).join("; ")}`);
        await refuseDifferences(task);
        return { before, downtime, seconds, events, errors: errors.length };
    } finally {
        await stopWriter();
    }
}

/** As the step of that name does it in the database: nothing may be written, and no session of before goes on. */
async function fence(source: Task["source"]): Promise<void> {
    await withClient(source, { step: "bench" }, async (client) => {
        await client.query(
            `ALTER DATABASE ${client.escapeIdentifier(source.name)} SET default_transaction_read_only = on`,
        );
        await client.query(
            `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`,
        );
    });
}

/** Not part of any time: a fast cut-over that loses a row is none. */
async function refuseDifferences({ source, owner, jobs }: Task): Promise<void> {
    const rows = async (side: Task["source"]): Promise<string[]> =>
        (await tableFingerprints(side, { step: "bench", jobs })).map(
            (table) => `${table.name} ${table.rows} ${table.hash}`,
        );
    const [from, to] = await Promise.all([rows(source), rows(owner)]);
    const differing = from.filter((line) => !to.includes(line));
    if (differing.length > 0 || from.length !== to.length)
        throw new Error(`the target is not the source: ${differing.slice(0, 5).join("; ")}`);
}

async function timed<T>(parts: Parts, part: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now();
    const result = await work();
    parts[part] = (performance.now() - began) / 1000;
    return result;
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
    let done: Promise<T> | undefined;
    return () => (done ??= work());
}
