/** Copies a database into an empty one: no files between them, several connections at a time, out of one snapshot. */
import type { StepRun } from "../../run/step.ts";
import { Together } from "../../run/together.ts";
import { readDefinitions, type Definition } from "../catalogue/catalogue.ts";
import { inSnapshot, withClient, type Client } from "../connection.ts";
import { tableFingerprints, type TableFingerprint } from "../compare/fingerprint.ts";
import { prepareSession, refuseUnfitDatabase } from "../plainDump/loadingSession.ts";
import { refuseLostRows, refuseMoved, setSequences } from "./finish.ts";
import { beginJournal, entryKey, hasCopy, readJournal, type CopyProgress } from "./doneTasks.ts";
import { runInLanes, type LaneTask } from "./lanes.ts";
import { RateLimit } from "../../run/rateLimit.ts";
import type { CopyContent, DatabaseCopy } from "./request.ts";
import { listSchema, postDataEntries, restorePreData, withSchemaArchive, type PostDataEntry } from "./schemaArchive.ts";
import { readCopySource, type CopySource } from "./source.ts";
import { partsOf } from "./tableParts.ts";
import { planTasks, runEntry } from "./tasks.ts";

export type { CopyContent, DatabaseCopy } from "./request.ts";

type CopyRun = Pick<StepRun, "directory" | "signal" | "progress">;

/**
 * Tables, then rows and behind them each table's indexes and keys, then all other definitions, sequences, statistics. The rows of the source
 * are hashed meanwhile, in the same snapshot. The target is complete only when this returns.
 *
 * @param run  its directory gets files that are removed again
 * @throws MigrationError SM-E0540 for what only an archive can carry; SM-E0804 when the target is not empty; SM-E0912 when both servers
 *     disagree about what was copied, or the source moved; SM-E0513 when a unique index finds duplicates; SM-E1101, SM-E1102, SM-E1104
 */
export async function copyDatabase(copy: DatabaseCopy, run: CopyRun): Promise<CopyContent> {
    const together = new Together(run.signal);
    const [content] = await together.all(new Copier(copy, { ...run, signal: together.signal }, together).run());
    return content;
}

/** Milliseconds of `performance.now()`. */
interface Loaded {
    readonly tablesMade: number;
    readonly rowsIn: number;
    readonly ended: number;
}

class Copier {
    private readonly copy: DatabaseCopy;
    private readonly context: CopyRun;
    private readonly together: Together;
    private readonly began = performance.now();
    private bytes = 0;
    /** By `schema.name`. */
    private readonly rows = new Map<string, number>();
    private readonly left = { rows: 0, index: 0, key: 0, analyze: 0 };
    private hashed = "none";

    constructor(copy: DatabaseCopy, context: CopyRun, together: Together) {
        this.copy = copy;
        this.context = context;
        this.together = together;
    }

    public async run(): Promise<CopyContent> {
        const { source: address, snapshot, step, standsStill } = this.copy;
        const session = { step, signal: this.context.signal };
        const reading = this.together.part(readCopySource(address, snapshot, session));
        const defining = this.together.part(this.inSource(readDefinitions));
        const [source, definitions, hashes, loaded] = await this.together.all(
            reading,
            defining,
            this.hash(),
            this.load(reading, defining),
        );
        const { sequences } = source;
        refuseLostRows(hashes.tables, this.rows);
        await this.onTarget((client) => setSequences(client, sequences));
        if (standsStill) await refuseMoved(address, sequences, session);
        return {
            ...{ snapshot, tables: hashes.tables, sequences, definitions, bytes: this.bytes },
            seconds: {
                schema: seconds(this.began, loaded.tablesMade),
                rows: seconds(loaded.tablesMade, loaded.rowsIn),
                indexes: seconds(loaded.rowsIn, loaded.ended),
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

    private async load(reading: Promise<CopySource>, defining: Promise<Definition[]>): Promise<Loaded> {
        const { copy, context } = this;
        const made = await context.progress.during("making the tables", () => this.makeTables(reading, defining));
        const tablesMade = performance.now();
        let rowsIn = tablesMade;
        for (const { table, rows = 0 } of made.progress.parts) this.addRows(table, rows);
        const { bytesPerSecond } = copy;
        const { tasks, rest } = planTasks(
            made.progress.parts,
            made.entries.filter(({ text }) => !made.progress.entries.has(entryKey(text))),
            (await reading).tablesOf,
            {
                limit: bytesPerSecond === undefined ? undefined : new RateLimit(bytesPerSecond),
                onBytes: (bytes) => (this.bytes += bytes),
                onRows: (table, rows) => this.addRows(table, rows),
                signal: context.signal,
            },
        );
        for (const { kind } of tasks) this.left[kind] += 1;
        const onDone = ({ kind }: LaneTask): void => {
            this.left[kind] -= 1;
            if (kind === "rows") rowsIn = performance.now();
        };
        await context.progress.during(
            "copying rows, building indexes, hashing",
            () => runInLanes(copy, tasks, { together: this.together, onDone }),
            () => this.state(),
        );
        await this.onTarget(async (client) => {
            for (const entry of rest) await runEntry(client, entry);
        });
        return { tablesMade, rowsIn, ended: performance.now() };
    }

    /** Tables without rows, unless an earlier attempt has made them. */
    private async makeTables(
        reading: Promise<CopySource>,
        defining: Promise<Definition[]>,
    ): Promise<{ progress: CopyProgress; entries: PostDataEntry[] }> {
        const { copy, context } = this;
        return withSchemaArchive(copy, context, async (archive) => {
            const { tables } = await reading;
            const earlier = await this.onTarget(async (client) => {
                const { resume, target } = copy;
                const isOurs = resume !== undefined && (await hasCopy(client, resume.state));
                const found = isOurs ? await readJournal(client, tables) : undefined;
                if (found === undefined) await refuseUnfitDatabase(client, target);
                return found;
            });
            await listSchema(archive, copy, await defining, context);
            const [entries, progress] = await this.together.all(
                postDataEntries(archive, copy, context),
                earlier === undefined ? this.beginCopy(archive, tables) : Promise.resolve(earlier),
            );
            return { entries, progress };
        });
    }

    private async beginCopy(archive: string, tables: CopySource["tables"]): Promise<CopyProgress> {
        const { copy, context } = this;
        const parts = partsOf(tables, copy.jobs);
        await restorePreData(archive, copy, context);
        const planned = await this.onTarget((client) => beginJournal(client, copy.resume?.state ?? "", parts));
        return { parts: planned, entries: new Set<string>() };
    }

    private async inSource<T>(work: (client: Client) => Promise<T>): Promise<T> {
        const { source, snapshot, step } = this.copy;
        const session = { step, readOnly: true, statementSeconds: 0, signal: this.context.signal };
        return withClient(source, session, (client) => inSnapshot(client, snapshot, () => work(client)));
    }

    private async onTarget<T>(work: (client: Client) => Promise<T>): Promise<T> {
        const { target, step } = this.copy;
        return withClient(target, { step, statementSeconds: 0, signal: this.context.signal }, async (client) => {
            await prepareSession(client, target, 1);
            return work(client);
        });
    }

    private addRows({ schema, name }: { readonly schema: string; readonly name: string }, rows: number): void {
        const key = `${schema}.${name}`;
        this.rows.set(key, (this.rows.get(key) ?? 0) + rows);
    }

    private state(): string {
        const { rows, index, key, analyze } = this.left;
        const megabytes = Math.round(this.bytes / 1e6);
        return `${megabytes} MB copied, left: ${rows} parts of tables, ${index} indexes, ${key} foreign keys, ${analyze} to analyse; hashed: ${this.hashed}`;
    }
}

function seconds(from: number, to = performance.now()): number {
    return Math.round(to - from) / 1000;
}
