/** What is measured in a process of its own. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { openLayers } from "../../engine/bundle/input/open.ts";
import { inSnapshot, queryOne, withClient } from "../../engine/postgres/connection.ts";
import { copyDatabase } from "../../engine/postgres/directCopy/copyDatabase.ts";
import { tableFingerprints, type TableFingerprint } from "../../engine/postgres/compare/fingerprint.ts";
import { loadPlainDump } from "../../engine/postgres/plainDump/load.ts";
import { lineProgress } from "../../engine/run/progress.ts";
import { redact } from "../../engine/run/redaction.ts";

/** A database with the password of its role. */
export const addressShape = z.strictObject({
    host: z.string(),
    port: z.number(),
    name: z.string(),
    user: z.string(),
    password: z.string(),
});
const shared = {
    source: addressShape,
    target: addressShape,
    jobs: z.number().int().min(1),
    directory: z.string(),
    programs: z.string(),
};

export const taskShape = z.discriminatedUnion("kind", [
    /** Source to target, without files. */
    z.strictObject({ kind: z.literal("direct"), ...shared }),
    /** Every row of both sides, in parallel. */
    z.strictObject({ kind: z.literal("verify"), ...shared }),
    /** A plain, compressed, encrypted dump into the target. */
    z.strictObject({ kind: z.literal("load"), ...shared, dump: z.string(), passphraseFile: z.string() }),
]);
export type Task = z.infer<typeof taskShape>;
type TaskOf<Kind extends Task["kind"]> = Extract<Task, { kind: Kind }>;
/** Seconds of each part. */
type Parts = Record<string, number>;

const session = { step: "bench" };

export function runTask(task: Task): Promise<Parts> {
    if (task.kind === "direct") return direct(task);
    return task.kind === "verify" ? verify(task) : load(task);
}

async function direct({ source, target, jobs, directory, programs }: TaskOf<"direct">): Promise<Parts> {
    return withClient(source, { ...session, readOnly: true, statementSeconds: 0 }, (client) =>
        inSnapshot(client, undefined, async () => {
            const { snapshot } = await queryOne(
                client,
                z.object({ snapshot: z.string() }),
                "SELECT pg_export_snapshot() AS snapshot",
            );
            const { seconds } = await copyDatabase(
                { source, target, snapshot, clientDirectory: programs, step: session.step, jobs, standsStill: true },
                {
                    directory,
                    signal: new AbortController().signal,
                    progress: lineProgress("bench", () => undefined, redact),
                },
            );
            const { schema, rows, indexes, hashes } = seconds;
            return { schema, rows, indexes, hashes };
        }),
    );
}

async function verify({ source, target, jobs }: TaskOf<"verify">): Promise<Parts> {
    const began = performance.now();
    const timed = async (side: Task["source"]): Promise<{ tables: TableFingerprint[]; seconds: number }> => {
        const tables = await tableFingerprints(side, { ...session, jobs });
        return { tables, seconds: (performance.now() - began) / 1000 };
    };
    const [from, to] = await Promise.all([timed(source), timed(target)]);
    const contents = (tables: readonly TableFingerprint[]): string[] =>
        tables.map(({ schema, name, rows, hash }) => `${schema}.${name} ${rows} ${hash}`);
    const [expected, found] = [contents(from.tables), contents(to.tables)];
    const missing = expected.filter((line) => !found.includes(line));
    if (missing.length > 0 || expected.length !== found.length)
        throw new Error(`the target is not the source: ${missing.slice(0, 5).join("; ")}`);
    return { source: from.seconds, target: to.seconds };
}

async function load({ target, jobs, directory, dump, passphraseFile }: TaskOf<"load">): Promise<Parts> {
    const passphrase = (await readFile(passphraseFile, "utf8")).trim();
    const { stream, finished } = openLayers([dump], { passphrase, workDirectory: directory });
    const began = performance.now();
    // psql collects no statistics either.
    await loadPlainDump({ dump: stream, address: target, jobs, analyze: false });
    await finished;
    return { load: (performance.now() - began) / 1000 };
}
