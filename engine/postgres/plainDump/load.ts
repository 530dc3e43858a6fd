/** Loads a plain dump into an empty database: never by psql, by several connections, and whole or not at all. */
import { refuseUnknownExtensions } from "../server/extensions.ts";
import { describeAddress, quotedName, withClient, type Client, type DatabaseAddress } from "../connection.ts";
import type { PlainDumpContent } from "./content.ts";
import { CopyDealer } from "./copyDealer.ts";
import { planLoad, runTasks, type Task } from "./loadPlan.ts";
import { readPlainDump, type ReadProgress } from "./read.ts";
import { prepareSession, refuseUnfitDatabase, runPlaced } from "./loadingSession.ts";
import type { CopyBlock, PlainDumpSink } from "./sink.ts";
import type { PlacedStatement } from "./statement.ts";
import { WorkQueue } from "./workQueue.ts";
import { Together } from "../../run/together.ts";

export type { PlainDumpContent } from "./content.ts";

interface PlainDumpProgress extends ReadProgress {
    readonly phase: "data" | "indexes" | "constraints";
}

export interface PlainDumpLoad {
    /** Decompressed, decrypted bytes. An error of it makes the load fail; what came before it never counts. */
    readonly dump: AsyncIterable<Buffer>;
    /** A database that is empty but for our marker, as its owner: not as a superuser. */
    readonly address: DatabaseAddress;
    /** Connections that load at a time; there is one more for the statements. */
    readonly jobs: number;
    /**
     * Looks at the database after all statements so far and before rows are loaded, indexes are built or views are filled, which runs what the
     * statements have made. Ends the load when it throws.
     */
    readonly beforeRows?: () => Promise<void>;
    readonly signal?: AbortSignal;
    readonly onProgress?: (progress: PlainDumpProgress) => void;
    /** Collects the planner's statistics at the end; true when absent. */
    readonly analyze?: boolean;
}

const step = "import";

/**
 * Loads all of it. The database is complete only when this returns: after an error it is to be dropped.
 *
 * @throws MigrationError SM-E0901 to SM-E0904, SM-E0907, SM-E0909 about the dump; SM-E0804 about the database; SM-E0511 about extensions;
 *     SM-E0513, SM-E0912, SM-E0515, SM-E1104, SM-E1102 from the server, with the dump's line; whatever the dump's stream or `beforeRows` throws
 */
export async function loadPlainDump(load: PlainDumpLoad): Promise<PlainDumpContent> {
    const { address, jobs } = load;
    const together = new Together(load.signal);
    const { signal } = together;
    const queue = new WorkQueue(signal);
    const session = { step, statementSeconds: 0, signal };
    const connected = <T>(work: (client: Client) => Promise<T>): Promise<T> =>
        withClient(address, session, async (client) => {
            await prepareSession(client, address, jobs);
            return work(client);
        });
    const main = connected(async (client) => {
        try {
            return await new Loader(client, queue, load, signal).run();
        } finally {
            queue.close();
        }
    });
    const lanes = Array.from({ length: jobs }, () => connected((client) => queue.serve(client)));
    const [content] = await together.all(main, ...lanes);
    return content;
}

class Loader implements PlainDumpSink {
    private readonly client: Client;
    private readonly queue: WorkQueue;
    private readonly load: PlainDumpLoad;
    private readonly signal: AbortSignal;
    private readonly dealer: CopyDealer;
    /** What comes behind the first statement that has to wait for the rows. */
    private readonly later: PlacedStatement[] = [];
    /** Statements before the rows share a transaction: each in its own takes half as long again. */
    private inTransaction = false;
    /** Whether statements have made something that nobody has looked at yet. */
    private unseen = true;
    private read: ReadProgress = { bytes: 0, tables: 0, rows: 0 };

    constructor(client: Client, queue: WorkQueue, load: PlainDumpLoad, signal: AbortSignal) {
        this.client = client;
        this.queue = queue;
        this.load = load;
        this.signal = signal;
        this.dealer = new CopyDealer(queue, load.jobs);
    }

    public async run(): Promise<PlainDumpContent> {
        await refuseUnfitDatabase(this.client, this.load.address);
        const content = await readPlainDump(this.load.dump, this, {
            signal: this.signal,
            onProgress: (read) => {
                this.read = read;
                this.report("data");
            },
        });
        await this.makeReady();
        await this.queue.drained();
        const plan = planLoad(this.later, content.tables);
        this.report("indexes");
        await this.runAll(plan.indexes);
        this.report("constraints");
        await this.runAll(plan.foreignKeys);
        for (const placed of plan.rest) await runPlaced(this.client, placed);
        if (plan.refreshes.length > 0) await this.load.beforeRows?.();
        for (const placed of plan.refreshes) await runPlaced(this.client, placed);
        if (this.load.analyze !== false) await this.analyze(content);
        return content;
    }

    public async statement(placed: PlacedStatement): Promise<void> {
        const { statement } = placed;
        if (statement.kind === "extension") {
            const needed = [{ kind: "extension", name: statement.extension, definition: "" }];
            await refuseUnknownExtensions(this.client, needed, describeAddress(this.load.address));
        }
        const waits = ["index", "constraint", "trigger", "refresh"].includes(statement.kind);
        // A sequence's value does not depend on anything behind the rows.
        if (waits || (this.later.length > 0 && statement.kind !== "setval")) {
            this.later.push(placed);
            return;
        }
        if (!this.inTransaction) await this.client.query("BEGIN");
        this.inTransaction = true;
        if (statement.kind !== "setval") this.unseen = true;
        await runPlaced(this.client, placed);
    }

    public async beginRows(block: CopyBlock): Promise<void> {
        await this.makeReady();
        this.dealer.begin(block);
    }

    public rows(data: Buffer, lineEnd: number, rows: number): Promise<void> {
        return this.dealer.rows(data, lineEnd, rows);
    }

    public endRows(): Promise<void> {
        this.dealer.end();
        return Promise.resolve();
    }

    /** Lets the other connections see what was made, and has it looked at. */
    private async makeReady(): Promise<void> {
        if (this.inTransaction) await this.client.query("COMMIT");
        this.inTransaction = false;
        if (this.unseen) await this.load.beforeRows?.();
        this.unseen = false;
    }

    private runAll(tasks: readonly Task[]): Promise<void> {
        return runTasks(tasks, this.load.jobs, (task) =>
            this.queue.perform((client) => runPlaced(client, task.placed)),
        );
    }

    private async analyze(content: PlainDumpContent): Promise<void> {
        const tables = [...content.tables].sort((a, b) => b.bytes - a.bytes);
        for (const { schema, name } of tables)
            this.queue.submit(async (client) => {
                await client.query(`ANALYZE ${quotedName(schema, name)}`);
            });
        await this.queue.drained();
    }

    private report(phase: PlainDumpProgress["phase"]): void {
        this.load.onProgress?.({ ...this.read, phase });
    }
}
