/** Row count and an order-independent hash of every table: equal in two databases only where the rows are. */
import { z } from "zod";
import {
    inSnapshot,
    query,
    queryOne,
    quotedName,
    withClient,
    type Client,
    type ConnectionOptions,
    type DatabaseAddress,
} from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";
import { rowHash } from "./rowHash.ts";
import { Together } from "../../run/together.ts";

export const tableFingerprintShape = z.strictObject({
    schema: z.string(),
    name: z.string(),
    rows: z.number().int().min(0),
    /**
     * Sum of 64 bits of each row, as a decimal: see `rowHash`. Finds corruption; it is not made against someone who wants to deceive. A sum,
     * because twice the same row would vanish in an exclusive or.
     */
    hash: z.string().regex(/^-?\d+$/),
    bytes: z.number().int().min(0),
});
export type TableFingerprint = z.infer<typeof tableFingerprintShape>;

export interface FingerprintOptions extends ConnectionOptions {
    /** Connections at a time. */
    readonly jobs: number;
    /** As `pg_export_snapshot()` gave it; without one the database must stand still. */
    readonly snapshot?: string;
    readonly onTable?: (done: number, total: number) => void;
}

const tableShape = z.object({
    schema: z.string(),
    name: z.string(),
    bytes: z.coerce.number().int(),
    pages: z.coerce.number().int(),
    /** By name: a dropped or moved column changes nothing. */
    columns: z.array(z.object({ name: z.string(), type: z.string() })),
});
type Table = z.infer<typeof tableShape>;

/** A table, or a range of its pages. */
interface Part {
    readonly table: Table;
    readonly fromPage?: number;
    readonly toPage?: number;
}

/** Tables below this size are not worth splitting. */
const smallestSplitPages = 8192;

/**
 * Fingerprints all tables, largest first, a large one by several connections at a time.
 *
 * The hash of a row is that of its columns in the order of their names, under the session settings of {@link withClient}; it is the same
 * on PostgreSQL 14 to 18 for all types that Synapse uses.
 */
export async function tableFingerprints(
    address: DatabaseAddress,
    options: FingerprintOptions,
): Promise<TableFingerprint[]> {
    const together = new Together(options.signal);
    const { signal } = together;
    const session: ConnectionOptions = { ...options, readOnly: true, statementSeconds: 0, signal };
    const view = <T>(work: (client: Client) => Promise<T>): Promise<T> =>
        withClient(address, session, (client) => inSnapshot(client, options.snapshot, () => work(client)));
    const tables = await view(listTables);
    const totals = new Map(tables.map((table) => [table, { rows: 0, hash: 0n }]));
    const parts = splitTables(tables, options.jobs);
    const total = parts.length;
    const worker = (client: Client): Promise<void> =>
        drain(client, parts, totals, () => options.onTable?.(total - parts.length, total));
    const workers = Math.min(options.jobs, Math.max(1, total));
    await together.all(...Array.from({ length: workers }, () => view(worker)));
    return [...totals]
        .map(([{ schema, name, bytes }, { rows, hash }]) => ({ schema, name, rows, hash: hash.toString(), bytes }))
        .sort((a, b) => (`${a.schema}.${a.name}` < `${b.schema}.${b.name}` ? -1 : 1));
}

/**
 * The large objects of a database as if they were one table; nothing when it has none. Reads all of them.
 *
 * @throws what {@link withClient} makes of a refusal, as SM-E0515, where the role may not read one
 */
export async function largeObjectsFingerprint(client: Client): Promise<TableFingerprint[]> {
    const [found] = await query(
        client,
        z.object({ rows: z.coerce.number(), hash: z.string(), bytes: z.coerce.number() }),
        `SELECT count(*)::text AS rows, coalesce(sum(hashtextextended(oid::text || ' ' || md5(lo_get(oid)), 0)), 0)::text AS hash,
            coalesce(sum(length(lo_get(oid))), 0)::text AS bytes FROM pg_largeobject_metadata HAVING count(*) > 0`,
    );
    return found === undefined ? [] : [{ schema: "pg_catalog", name: "pg_largeobject", ...found }];
}

/** The work in the order in which it is taken: by size, a table of more than half a connection's share in pieces. */
export function splitTables(tables: readonly Table[], jobs: number): Part[] {
    const totalPages = tables.reduce((sum, { pages }) => sum + pages, 0);
    const share = Math.max(smallestSplitPages, Math.ceil(totalPages / (2 * jobs)));
    return [...tables]
        .sort((a, b) => b.pages - a.pages)
        .flatMap((table): Part[] => {
            const pieces = jobs === 1 ? 1 : Math.ceil(table.pages / share);
            if (pieces <= 1) return [{ table }];
            return Array.from({ length: pieces }, (_, index) => ({
                table,
                ...(index === 0 ? {} : { fromPage: index * share }),
                // The last piece is open: the file may have grown since its size was read.
                ...(index === pieces - 1 ? {} : { toPage: (index + 1) * share }),
            }));
        });
}

async function drain(
    client: Client,
    parts: Part[],
    totals: ReadonlyMap<Table, { rows: number; hash: bigint }>,
    onPart: () => void,
): Promise<void> {
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        const { rows, hash } = await fingerprintPart(client, part);
        const sum = totals.get(part.table);
        if (sum !== undefined) {
            sum.rows += rows;
            sum.hash += hash;
        }
        onPart();
    }
}

async function fingerprintPart(
    client: Client,
    { table, fromPage, toPage }: Part,
): Promise<{ rows: number; hash: bigint }> {
    const bounds = [
        ...(fromPage === undefined ? [] : [`ctid >= '(${fromPage},0)'`]),
        ...(toPage === undefined ? [] : [`ctid < '(${toPage},0)'`]),
    ];
    const { rows, hash } = await queryOne(
        client,
        z.object({ rows: z.string(), hash: z.string() }),
        `SELECT count(*)::text AS rows, coalesce(sum(${rowHash(table.columns)}), 0)::text AS hash
        FROM ONLY ${quotedName(table.schema, table.name)} t ${bounds.length === 0 ? "" : `WHERE ${bounds.join(" AND ")}`}`,
    );
    return { rows: Number(rows), hash: BigInt(hash) };
}

async function listTables(client: Client): Promise<Table[]> {
    return query(
        client,
        tableShape,
        `SELECT s.nspname AS schema, c.relname AS name, pg_table_size(c.oid)::text AS bytes,
            (pg_relation_size(c.oid) / current_setting('block_size')::int)::text AS pages,
            coalesce((SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, NULL))
                ORDER BY a.attname COLLATE "C") FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]') AS columns
        FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
        WHERE c.relkind = 'r' AND s.nspname NOT LIKE 'pg\\_%' AND s.nspname NOT IN ('information_schema', '${markerSchema}')
            AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')`,
    );
}
