/** Digests of a loaded database's tables, equal to those of the dump's lines where every line arrived and nothing else. */
import { escapeIdentifier } from "pg";
import { to as copyTo } from "pg-copy-streams";
import { z } from "zod";
import { inSnapshot, query, quotedName, withClient, type Client, type DatabaseAddress } from "../connection.ts";
import { CopyLines, largestScan } from "./copyLines.ts";
import { Together } from "../../run/together.ts";

export interface DigestedTable {
    readonly schema: string;
    readonly name: string;
    /** In the order of the dump's COPY. */
    readonly columns: readonly string[];
}

export interface LineDigestOptions {
    readonly jobs: number;
    /** As `pg_export_snapshot()` gave it; without one the database must stand still. */
    readonly snapshot?: string;
    readonly signal?: AbortSignal;
    readonly onTable?: (done: number, total: number) => void;
}

export interface LineDigest {
    readonly schema: string;
    readonly name: string;
    readonly rows: number;
    readonly digest: string;
}

/**
 * Reads the tables as COPY writes them, under the session settings of {@link withClient}. Changes nothing.
 *
 * @returns in the order of the tables; one that does not exist is left out
 */
export async function tableLineDigests(
    address: DatabaseAddress,
    tables: readonly DigestedTable[],
    options: LineDigestOptions,
): Promise<readonly LineDigest[]> {
    const together = new Together(options.signal);
    const { signal } = together;
    const session = { step: "line-digests", readOnly: true, statementSeconds: 0, signal };
    const sizes = await withClient(address, session, (client) => tableSizes(client));
    const keyOf = ({ schema, name }: { schema: string; name: string }): string => JSON.stringify([schema, name]);
    const sizeOf = new Map(sizes.map((table) => [keyOf(table), table.bytes]));
    const present = tables.filter((table) => sizeOf.has(keyOf(table)));
    const waiting = [...present].sort((a, b) => (sizeOf.get(keyOf(b)) ?? 0) - (sizeOf.get(keyOf(a)) ?? 0));
    const digests = new Map<string, LineDigest>();
    const worker = (client: Client): Promise<void> =>
        inSnapshot(client, options.snapshot, async () => {
            for (let table = waiting.shift(); table !== undefined; table = waiting.shift()) {
                signal.throwIfAborted();
                digests.set(keyOf(table), await digestTable(client, table));
                options.onTable?.(digests.size, present.length);
            }
        });
    const workers = Math.max(1, Math.min(options.jobs, present.length));
    await together.all(...Array.from({ length: workers }, () => withClient(address, session, worker)));
    return present.flatMap((table) => digests.get(keyOf(table)) ?? []);
}

async function tableSizes(client: Client): Promise<{ schema: string; name: string; bytes: number }[]> {
    return query(
        client,
        z.object({ schema: z.string(), name: z.string(), bytes: z.coerce.number() }),
        `SELECT n.nspname AS schema, c.relname AS name, pg_table_size(c.oid)::text AS bytes
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r'`,
    );
}

async function digestTable(client: Client, { schema, name, columns }: DigestedTable): Promise<LineDigest> {
    const list = columns.map((column) => escapeIdentifier(column)).join(", ");
    const stream = client.query(copyTo(`COPY ${quotedName(schema, name)} (${list}) TO STDOUT`));
    const lines = new CopyLines(columns.length, false);
    let rows = 0;
    for await (const chunk of stream) {
        const data = z.instanceof(Buffer).parse(chunk);
        for (let at = 0; at < data.length; at += largestScan)
            rows += lines.scan(data.subarray(at, at + largestScan), 0).rows;
    }
    if (!lines.complete) throw new Error(`COPY of ${schema}.${name} ended inside of a line`);
    return { schema, name, rows, digest: lines.sum.toString() };
}
