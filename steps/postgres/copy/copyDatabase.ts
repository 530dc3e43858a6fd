/** Copies a database into an empty one: no files between them, several connections at a time, out of one snapshot. */
import { MigrationError } from "../../run/errors.ts";
import type { StepRun } from "../../run/step.ts";
import { describeAddress, inSnapshot, quotedName, withClient, type Client } from "../connection.ts";
import { tableFingerprints, type TableFingerprint } from "../fingerprint.ts";
import { prepareSession, refuseUnfitDatabase } from "../plainDump/session.ts";
import { compareSequences, readSequences, type Sequence } from "../sequences.ts";
import { beginJournal, entryKey, hasCopy, readJournal, type CopyProgress } from "./journal.ts";
import { RateLimit } from "./rateLimit.ts";
import type { CopyContent, DatabaseCopy } from "./request.ts";
import { postDataEntries, restorePreData, withSchemaArchive, type PostDataEntry } from "./schemaArchive.ts";
import { readCopySource, type CopySource } from "./source.ts";
import { partsOf } from "./tables.ts";
import { TaskBoard } from "./taskBoard.ts";
import { planTasks, runEntry, type Lane, type LaneTask } from "./tasks.ts";

export type { CopyContent, DatabaseCopy } from "./request.ts";

/**
 * Tables, then rows and behind them each table's indexes and keys, then all other definitions, sequences, statistics. The rows of the source
 * are hashed meanwhile, in the same snapshot. The target is complete only when this returns.
 *
 * @param run  its directory gets files that are removed again
 * @throws MigrationError SM-E0540 for what only an archive can carry; SM-E0804 when the target is not empty; SM-E0912 when both servers
 *     disagree about what was copied, or the source moved; SM-E0513 when a unique index finds duplicates; SM-E1101, SM-E1102, SM-E1104
 */
export async function copyDatabase(
    copy: DatabaseCopy,
    run: Pick<StepRun, "directory" | "signal" | "progress">,
): Promise<CopyContent> {
    const failure = new AbortController();
    const signal = AbortSignal.any([run.signal, failure.signal]);
    // The first error is the cause of the others.
    const stopOthers = <T>(work: Promise<T>): Promise<T> =>
        work.catch((error: unknown) => {
            failure.abort(error);
            throw error;
        });
    const copier = new Copier(copy, { ...run, signal }, stopOthers);
    try {
        return await copier.run();
    } catch (error) {
        failure.abort(error);
        run.signal.throwIfAborted();
        throw failure.signal.reason;
    }
}

class Copier {
    private readonly copy: DatabaseCopy;
    private readonly context: Pick<StepRun, "directory" | "signal" | "progress">;
    private readonly stopOthers: <T>(work: Promise<T>) => Promise<T>;
    private readonly began = performance.now();
    private bytes = 0;
    private waiting = { rows: 0, index: 0, key: 0, analyze: 0 };
    private rowsEnded = 0;
    private hashed = "none";

    constructor(
        copy: DatabaseCopy,
        context: Pick<StepRun, "directory" | "signal" | "progress">,
        stopOthers: <T>(work: Promise<T>) => Promise<T>,
    ) {
        this.copy = copy;
        this.context = context;
        this.stopOthers = stopOthers;
    }

    public async run(): Promise<CopyContent> {
        const { source: address, snapshot, step } = this.copy;
        const session = { step, signal: this.context.signal };
        const source = await readCopySource(address, snapshot, session);
        const [hashes, rows] = await Promise.all([this.stopOthers(this.hash()), this.stopOthers(this.load(source))]);
        refuseLostRows(hashes.tables, rows.counts);
        await this.onTarget((client) => setSequences(client, source.sequences));
        if (this.copy.standsStill) await this.refuseMoved(source.sequences);
        return {
            ...{ snapshot, tables: hashes.tables, sequences: source.sequences, definitions: source.definitions },
            bytes: this.bytes,
            seconds: {
                schema: rows.schemaSeconds,
                rows: seconds(rows.began, this.rowsEnded),
                indexes: seconds(this.rowsEnded, rows.ended),
                hashes: hashes.seconds,
                total: seconds(this.began),
            },
        };
    }

    private async hash(): Promise<{ tables: TableFingerprint[]; seconds: number }> {
        const { source, snapshot, step, jobs } = this.copy;
        const began = performance.now();
        const tables = await tableFingerprints(source, {
            ...{ step, jobs, snapshot, signal: this.context.signal },
            onTable: (done, total) => (this.hashed = `${done} of ${total}`),
        });
        return { tables, seconds: seconds(began) };
    }

    private async load(
        source: CopySource,
    ): Promise<{ counts: Map<string, number>; schemaSeconds: number; began: number; ended: number }> {
        const { resumed, entries } = await this.makeTables(source);
        const began = performance.now();
        const counts = new Map<string, number>();
        for (const { table, rows = 0 } of resumed.parts) add(counts, table, rows);
        const { bytesPerSecond } = this.copy;
        const { tasks, rest } = planTasks(
            resumed.parts,
            entries.filter(({ text }) => !resumed.entries.has(entryKey(text))),
            source.tablesOf,
            {
                limit: bytesPerSecond === undefined ? undefined : new RateLimit(bytesPerSecond),
                onBytes: (bytes) => (this.bytes += bytes),
                onRows: (table, rows) => add(counts, table, rows),
                signal: this.context.signal,
            },
        );
        await this.context.progress.during(
            "copying rows, building indexes, hashing",
            () => this.work(tasks),
            () => this.state(),
        );
        await this.onTarget(async (client) => {
            for (const entry of rest) await runEntry(client, entry);
        });
        const schemaSeconds = seconds(this.began, began);
        return { counts, schemaSeconds, began, ended: performance.now() };
    }

    /** Tables without rows, unless an earlier attempt has made them. */
    private async makeTables(source: CopySource): Promise<{ resumed: CopyProgress; entries: PostDataEntry[] }> {
        const { copy, context } = this;
        const earlier = await this.onTarget(async (client) => {
            const { resume, target } = copy;
            if (resume !== undefined && (await hasCopy(client, resume.state)))
                return readJournal(client, source.tables);
            await refuseUnfitDatabase(client, target);
            return undefined;
        });
        return context.progress.during("making the tables", () =>
            withSchemaArchive(copy, context, async (archive) => {
                const entries = await postDataEntries(archive, copy, context);
                if (earlier !== undefined) return { resumed: earlier, entries };
                const parts = partsOf(source.tables, copy.jobs);
                await restorePreData(archive, copy, context);
                await this.onTarget((client) => beginJournal(client, copy.resume?.state ?? "", parts));
                return { resumed: { parts, entries: new Set<string>() }, entries };
            }),
        );
    }

    private async work(tasks: readonly LaneTask[]): Promise<void> {
        const { source, target, step, snapshot, jobs } = this.copy;
        const { signal } = this.context;
        for (const { kind } of tasks) this.waiting[kind] += 1;
        this.rowsEnded = performance.now();
        const board = new TaskBoard(tasks, signal);
        const serve = (lane: Lane): Promise<void> =>
            board.serve(async (task) => {
                // At once: the other connection of the pair may wait for this one.
                await this.stopOthers(task.run(lane));
                this.waiting[task.kind] -= 1;
                if (task.kind === "rows") this.rowsEnded = performance.now();
            });
        const lane = (): Promise<void> =>
            withClient(source, { step, readOnly: true, statementSeconds: 0, signal }, async (from) => {
                // Between two tables it may wait for an index.
                await from.query("SET idle_in_transaction_session_timeout = 0");
                await inSnapshot(from, snapshot, () =>
                    withClient(target, { step, statementSeconds: 0, signal }, async (into) => {
                        await prepareSession(into, target, jobs);
                        await serve({ source: from, target: into });
                    }),
                );
            });
        await Promise.all(Array.from({ length: jobs }, () => this.stopOthers(lane())));
    }

    private async onTarget<T>(work: (client: Client) => Promise<T>): Promise<T> {
        const { target, step } = this.copy;
        return withClient(target, { step, statementSeconds: 0, signal: this.context.signal }, async (client) => {
            await prepareSession(client, target, 1);
            return work(client);
        });
    }

    private async refuseMoved(sequences: readonly Sequence[]): Promise<void> {
        const { source, step } = this.copy;
        const session = { step, readOnly: true, signal: this.context.signal };
        const moved = compareSequences(sequences, await withClient(source, session, readSequences));
        if (moved.length === 0) return;
        throw new MigrationError("SM-E0912", {
            where: describeAddress(source),
            found: `sequences that moved while the database was copied\n${moved.slice(0, 5).join("\n")}`,
            expected: "a database that stands still",
        });
    }

    private state(): string {
        const { rows, index, key, analyze } = this.waiting;
        const megabytes = Math.round(this.bytes / 1e6);
        return `${megabytes} MB copied, left: ${rows} parts of tables, ${index} indexes, ${key} foreign keys, ${analyze} to analyse; hashed: ${this.hashed}`;
    }
}

/** Sequences that were never called hand out their value next; the others the one behind it. */
async function setSequences(client: Client, sequences: readonly Sequence[]): Promise<void> {
    if (sequences.length === 0) return;
    await client.query(
        `SELECT setval(s.name::regclass, s.value, s.called)
        FROM json_to_recordset($1) AS s (name text, value bigint, called boolean)`,
        [
            JSON.stringify(
                sequences.map(({ schema, name, lastValue, isCalled }) => ({
                    ...{ name: quotedName(schema, name), value: lastValue, called: isCalled },
                })),
            ),
        ],
    );
}

/** @throws MigrationError SM-E0912 naming tables of which another number of rows was copied than is in the snapshot */
function refuseLostRows(tables: readonly TableFingerprint[], counts: ReadonlyMap<string, number>): void {
    const wrong = tables.filter(({ schema, name, rows }) => counts.get(`${schema}.${name}`) !== rows);
    if (wrong.length === 0 && tables.length === counts.size) return;
    throw new MigrationError("SM-E0912", {
        where: "the copied tables",
        found: wrong
            .slice(0, 5)
            .map(({ schema, name }) => `${counts.get(`${schema}.${name}`) ?? "no"} rows of table ${schema}.${name}`)
            .join("\n"),
        expected: `${tables.length} tables, with as many rows as were hashed`,
    });
}

function add(counts: Map<string, number>, { schema, name }: { schema: string; name: string }, rows: number): void {
    counts.set(`${schema}.${name}`, (counts.get(`${schema}.${name}`) ?? 0) + rows);
}

function seconds(from: number, to = performance.now()): number {
    return Math.round(to - from) / 1000;
}
