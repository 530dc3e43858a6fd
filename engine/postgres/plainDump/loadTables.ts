/** Loads the rows of some tables of a plain dump into a schema beside the homeserver's own, which is not touched. */
import { escapeIdentifier } from "pg";
import { MigrationError } from "../../run/errors.ts";
import { describeAddress, quotedName, withClient, type DatabaseAddress } from "../connection.ts";
import type { PlainDumpContent, PlainDumpTable } from "./content.ts";
import { CopyDealer } from "./copyDealer.ts";
import { readPlainDump, type ReadProgress } from "./read.ts";
import { prepareSession } from "./loadingSession.ts";
import type { CopyBlock, PlainDumpSink } from "./sink.ts";
import type { PlacedStatement } from "./statement.ts";
import { declaredColumns } from "./tableColumns.ts";
import { WorkQueue } from "./workQueue.ts";
import { Together } from "../../run/together.ts";

export interface TablesLoad {
    /**
     * Decompressed, decrypted bytes of the whole dump: it is read to its end, as only a whole one is believed. It may be one of some tables
     * (`pg_dump -t`).
     */
    readonly dump: AsyncIterable<Buffer>;
    readonly address: DatabaseAddress;
    /** Names of tables of the dump's schema `public`. */
    readonly tables: readonly string[];
    /** There, and empty. */
    readonly intoSchema: string;
    readonly signal?: AbortSignal;
    readonly onProgress?: (progress: ReadProgress) => void;
}

export interface LoadedTables {
    readonly tables: readonly PlainDumpTable[];
    readonly content: PlainDumpContent;
}

/** Where pg_dump has Synapse's tables. */
const dumpedSchema = "public";

/**
 * Tables are made of the dump's column names and built-in types; no statement of the dump is run, so that it may be loaded by a role with
 * any rights. Keys and indexes are not made. After an error the schema is to be dropped.
 *
 * @throws MigrationError SM-E0980 for a table, or its rows, that the dump does not have; SM-E0987 for its columns; those of
 *     {@link readPlainDump}; SM-E0912, SM-E0904, SM-E1104, SM-E1102 from the server; whatever the dump's stream throws
 */
export async function loadTables(load: TablesLoad): Promise<LoadedTables> {
    const together = new Together(load.signal);
    const { signal } = together;
    const queue = new WorkQueue(signal);
    const reading = read(load, queue, signal).finally(() => queue.close());
    const lane = withClient(load.address, { step: "tables", statementSeconds: 0, signal }, async (client) => {
        await prepareSession(client, load.address, 1);
        await queue.serve(client);
    });
    const [loaded] = await together.all(reading, lane);
    return loaded;
}

async function read(load: TablesLoad, queue: WorkQueue, signal: AbortSignal): Promise<LoadedTables> {
    const wanted = new Set(load.tables);
    const made = new Set<string>();
    const dealer = new CopyDealer(queue, 1);
    let taking = false;
    const sink: PlainDumpSink = {
        async statement(placed) {
            const name = wantedTable(placed, wanted);
            if (name === undefined) return;
            made.add(name);
            await makeTable(queue, load, name, placed);
        },
        beginRows(block: CopyBlock) {
            taking = block.schema === dumpedSchema && made.has(block.name);
            if (taking) dealer.begin({ ...block, schema: load.intoSchema });
            return Promise.resolve();
        },
        rows: (data, lineEnd, rows) => (taking ? dealer.rows(data, lineEnd, rows) : Promise.resolve()),
        endRows() {
            if (taking) dealer.end();
            return Promise.resolve();
        },
    };
    const content = await readPlainDump(load.dump, sink, { signal, onProgress: load.onProgress, someTables: true });
    const tables = content.tables.filter(({ schema, name }) => schema === dumpedSchema && made.has(name));
    for (const name of load.tables) {
        if (tables.some((table) => table.name === name)) continue;
        const found = made.has(name) ? `table ${name} without its rows` : `no table ${name} in schema ${dumpedSchema}`;
        throw new MigrationError("SM-E0980", { where: "the backup", found, expected: `table ${name} with its rows` });
    }
    await queue.drained();
    await queue.perform(async (client) => {
        for (const { name } of tables) await client.query(`ANALYZE ${quotedName(load.intoSchema, name)}`);
    });
    return { tables, content };
}

function wantedTable({ statement, searchPath }: PlacedStatement, wanted: ReadonlySet<string>): string | undefined {
    if (statement.kind !== "table") return undefined;
    const { schema = searchPath[0] ?? dumpedSchema, name } = statement.table;
    return schema === dumpedSchema && wanted.has(name) ? name : undefined;
}

async function makeTable(queue: WorkQueue, load: TablesLoad, name: string, placed: PlacedStatement): Promise<void> {
    const where = `line ${placed.line} of the dump, table ${name}`;
    const columns = declaredColumns(placed.text, where).map(
        (column) => `${escapeIdentifier(column.name)} ${column.type}${column.notNull ? " NOT NULL" : ""}`,
    );
    await queue.perform(async (client) => {
        try {
            await client.query(`CREATE TABLE ${quotedName(load.intoSchema, name)} (${columns.join(", ")})`);
        } catch (error) {
            if (!(error instanceof Error && "code" in error && error.code === "42704")) throw error;
            throw new MigrationError("SM-E0987", {
                where,
                found: error.message,
                expected: `types that ${describeAddress(load.address)} has`,
            });
        }
    });
}
