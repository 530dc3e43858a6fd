/** What the machine needs at least: the processor time of the servers' own processes for the same rows and indexes. */
import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { escapeLiteral } from "pg";
import { z } from "zod";
import { runProgram } from "../engine/machines/program.ts";
import { query, queryOne, quotedName, withClient, type Client } from "../engine/postgres/connection.ts";
import { rowHash } from "../engine/postgres/compare/rowHash.ts";
import { makeServiceDirectory } from "../rehearsal/directory.ts";
import { generatedDatabase } from "./data/cache.ts";
import { methodSeconds, type Bench } from "./methods/method.ts";
import { ownSeconds } from "./processor.ts";
import type { Limits } from "./results/results.ts";

const session = { step: "bench", statementSeconds: 0 };
const namedTable = z.object({
    schema: z.string(),
    name: z.string(),
    columns: z.array(z.object({ name: z.string(), type: z.string() })),
});
type NamedTable = z.infer<typeof namedTable>;

/**
 * Measured in the server, with files at both ends and one process each, so that neither a client nor a second process is part of it.
 *
 * @param database  on the target: empty; filled afterwards
 */
export async function measureLimits(bench: Bench, database: string): Promise<Limits> {
    const files = makeServiceDirectory(join(bench.directory, "limits"));
    const fileOf = ({ name }: NamedTable): string => join(files, name);
    try {
        const [preData, postData] = [await definitions(bench, "pre-data"), await definitions(bench, "post-data")];
        const source = await withClient(bench.source.administration(generatedDatabase), session, async (client) => {
            const tables = await query(
                client,
                namedTable,
                `SELECT n.nspname AS schema, c.relname AS name,
                    (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, NULL)) ORDER BY a.attname COLLATE "C")
                        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns
                FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                WHERE c.relkind = 'r' AND n.nspname = 'public' ORDER BY c.relname`,
            );
            const copyTo = (to: (table: NamedTable) => string): Promise<number> =>
                processorSeconds(client, async () => {
                    for (const table of tables)
                        await client.query(
                            `COPY ${quotedName(table.schema, table.name)} TO ${escapeLiteral(to(table))}`,
                        );
                });
            await copyTo(fileOf);
            await client.query("SET max_parallel_workers_per_gather = 0");
            const hashes = await processorSeconds(client, async () => {
                for (const { schema, name, columns } of tables)
                    await client.query(`SELECT count(*), sum(${rowHash(columns)}) FROM ${quotedName(schema, name)} t`);
            });
            return { tables, hashes, copyOut: await copyTo(() => "/dev/null") };
        });
        const sizes = await Promise.all(source.tables.map(async (table) => (await stat(fileOf(table))).size));
        const target = await withClient(bench.target.administration(database), session, async (client) => {
            await client.query(preData);
            await client.query("RESET ALL; SET max_parallel_maintenance_workers = 0; SET maintenance_work_mem = '1GB'");
            const copyIn = await processorSeconds(client, async () => {
                for (const table of source.tables)
                    await client.query(
                        `COPY ${quotedName(table.schema, table.name)} FROM ${escapeLiteral(fileOf(table))}`,
                    );
            });
            const indexes = await processorSeconds(client, () => client.query(postData));
            const { bytes } = await queryOne(
                client,
                z.object({ bytes: z.coerce.number() }),
                "SELECT sum(pg_indexes_size(oid))::text AS bytes FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
            );
            return { copyIn, indexes, indexBytes: bytes };
        });
        const { copyOut, hashes } = source;
        return { copyOut, hashes, ...target, rowBytes: sizes.reduce((sum, size) => sum + size, 0) };
    } finally {
        await rm(files, { recursive: true, force: true });
    }
}

/** A section of the schema as statements. */
async function definitions({ source, programs, environment }: Bench, section: string): Promise<string> {
    const { host, port, user, name } = source.address(generatedDatabase);
    const { stdout } = await runProgram(
        join(programs, "pg_dump"),
        [
            ...["--schema-only", "--no-owner", "--no-acl", `--section=${section}`],
            ...["-h", host, "-p", String(port), "-U", user, "-d", name],
        ],
        { environment, timeoutSeconds: methodSeconds },
    );
    // What begins with a backslash is for psql.
    return stdout.replaceAll(/^\\.*$/gm, "");
}

/** What the work takes of the processor in the server process of this session. */
async function processorSeconds(client: Client, work: () => Promise<unknown>): Promise<number> {
    const { pid } = await queryOne(client, z.object({ pid: z.number() }), "SELECT pg_backend_pid() AS pid");
    const before = await ownSeconds(pid);
    await work();
    return (await ownSeconds(pid)) - before;
}
