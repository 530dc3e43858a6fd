/** Loads tables of a backup beside the homeserver's, compares them, and writes the plan of a merge. */
import { join } from "node:path";
import { openDump } from "../bundle/dump/openDump.ts";
import { readOpened } from "../bundle/dump/readOpened.ts";
import { writePrivateFile } from "../run/atomicFile.ts";
import { describeAddress, withClient, type Client, type DatabaseAddress } from "../postgres/connection.ts";
import { loadTables } from "../postgres/plainDump/loadTables.ts";
import { MigrationError } from "../run/errors.ts";
import type { Progress } from "../run/progress.ts";
import { prepareRunDirectory } from "../run/runDirectory.ts";
import { examine, type Examination } from "./examination.ts";
import { liveSchema, pairTable } from "./pairedTable.ts";
import { planText, type TablesPlan } from "./plan.ts";
import { planMarkdown } from "./planMarkdown.ts";
import { dropSideSchema, indexSideTable, makeSideSchema } from "./sideSchema.ts";
import { readColumns } from "./tableShape.ts";

export interface TablesOptions {
    /** Of a dump of a whole server that holds several homeservers, the database that is meant. */
    readonly backupDatabase?: string | undefined;
    /** One backup: a file, its parts, or a directory, in any format that `openDump` reads. */
    readonly backup: readonly string[];
    /** As the owner of Synapse's tables. */
    readonly address: DatabaseAddress;
    readonly tables: readonly string[];
    /** Mode 0700, not below the temporary ones: plans and unpacked dumps are kept in it. */
    readonly directory: string;
    readonly passphrase?: string | undefined;
    /** Armored; of a backup that is encrypted to a public key. */
    readonly secretKey?: string | undefined;
    /** Also plans to replace rows that differ; false when absent. */
    readonly replace?: boolean;
    /** Of PostgreSQL's programs; `pg_restore` is needed for backups that are archives. */
    readonly clientDirectory: string;
    readonly signal?: AbortSignal;
    readonly progress: Progress;
}

export interface PreparedTables {
    readonly plan: TablesPlan;
    readonly planFile: string;
    readonly markdownFile: string;
    /** Not empty where the plan must not be applied. */
    readonly problems: readonly MigrationError[];
}

const step = "tables";

/**
 * The homeserver's own schema is only read, in one snapshot; Synapse may be running. When it fails, the side schema is dropped again.
 *
 * @throws MigrationError SM-E0980 for unknown tables, SM-E0982 for keys that the backup has twice, SM-E0987 for columns that do not fit,
 *     SM-E1202 for the directory; those of `openDump`, `loadTables` and the connection
 */
export async function prepareTables(options: TablesOptions): Promise<PreparedTables> {
    const { address, progress, signal } = options;
    const tables = [...new Set(options.tables)];
    const { path: directory } = await prepareRunDirectory(options.directory);
    const session = { step, statementSeconds: 0, ...(signal === undefined ? {} : { signal }) };
    const connected = <T>(work: (client: Client) => Promise<T>): Promise<T> => withClient(address, session, work);
    const sideSchema = await connected(async (client) => {
        await refuseUnknownTables(client, tables, address);
        return makeSideSchema(client);
    });
    try {
        const backup = await load({ ...options, tables, directory }, sideSchema);
        const { tables: examined, problems } = await connected(async (client) => {
            await client.query("SET search_path = pg_catalog");
            for (const name of tables)
                await indexSideTable(client, sideSchema, await pairTable(client, sideSchema, name));
            return progress.during("comparing the tables", () =>
                examinedAtOnce(client, sideSchema, tables, options.replace),
            );
        });
        const plan: TablesPlan = {
            format: "synapse-migrate tables plan 1",
            madeAt: new Date().toISOString(),
            database: describeAddress(address),
            sideSchema,
            backup,
            replace: options.replace ?? false,
            tables: examined.map(({ difference, planned: { inserts, replaces } }) => ({
                difference,
                inserts,
                replaces,
            })),
            refusals: problems.map(({ code, detail }) => ({ code, where: detail.where, found: detail.found })),
        };
        const planFile = join(directory, `tables-plan-${sideSchema.split("_").at(-1) ?? ""}.json`);
        const markdownFile = planFile.replace(/json$/, "md");
        await writePrivateFile(planFile, planText(plan));
        await writePrivateFile(markdownFile, planMarkdown(plan));
        return { plan, planFile, markdownFile, problems };
    } catch (error) {
        // Without the signal: what was begun is taken back when it was stopped, too.
        await withClient(address, { step }, (client) => dropSideSchema(client, sideSchema)).catch(() => {
            progress.note(
                `the schema ${sideSchema} could not be dropped: synapse-migrate tables --discard ${sideSchema}`,
            );
        });
        throw error;
    }
}

/** One state of the database for all tables; temporary tables are made, so the transaction is not a read-only one. */
async function examinedAtOnce(
    client: Client,
    sideSchema: string,
    tables: readonly string[],
    replace = false,
): Promise<Examination> {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ");
    try {
        return await examine(client, sideSchema, tables, replace);
    } finally {
        await client.query("ROLLBACK").catch(() => undefined);
    }
}

async function load(options: TablesOptions, sideSchema: string): Promise<TablesPlan["backup"]> {
    const { backup, address, tables, directory, passphrase, secretKey, clientDirectory, signal, progress } = options;
    const stoppable = signal === undefined ? {} : { signal };
    const opened = await openDump(backup, {
        ...{ workDirectory: directory, clientDirectory, progress, ...stoppable },
        ...{ passphrase, secretKey, databaseName: options.backupDatabase },
    });
    try {
        let state = "";
        const { content } = await progress.during(
            "reading the backup",
            () =>
                readOpened(opened, (dump) =>
                    loadTables({
                        ...{ dump, address, tables, intoSchema: sideSchema, ...stoppable },
                        onProgress: ({ bytes, rows }) => (state = `${bytes} bytes, ${rows} rows`),
                    }),
                ),
            () => state,
        );
        const { files } = await opened.finished;
        return { files, serverVersion: content.serverVersion, sha256: content.sha256 };
    } finally {
        await opened.close();
    }
}

async function refuseUnknownTables(client: Client, tables: readonly string[], address: DatabaseAddress): Promise<void> {
    const unknown: string[] = [];
    for (const name of tables) if ((await readColumns(client, liveSchema, name)).length === 0) unknown.push(name);
    if (tables.length > 0 && unknown.length === 0) return;
    throw new MigrationError("SM-E0980", {
        where: describeAddress(address),
        found: tables.length === 0 ? "no table named" : `no table ${unknown.join(", ")} in schema ${liveSchema}`,
    });
}
