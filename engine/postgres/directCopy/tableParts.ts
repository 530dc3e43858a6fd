/** The tables of a source in the parts that are copied at a time. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { query, quotedName, type Client } from "../connection.ts";
import { markerSchema } from "../databases/marker.ts";

const tableShape = z.object({
    oid: z.string(),
    schema: z.string(),
    name: z.string(),
    /** With what is stored beside its pages. */
    bytes: z.coerce.number().int(),
    pages: z.coerce.number().int(),
    /** Changes when the rows are written anew and so have other places: VACUUM FULL, CLUSTER. */
    filenode: z.string(),
    /** Without generated ones: PostgreSQL computes their values and refuses given ones. */
    columns: z.array(z.string()),
});
export type CopiedTable = z.infer<typeof tableShape>;

/** A table, or a range of its pages. */
export interface TablePart {
    readonly table: CopiedTable;
    /** Absent: from the first. */
    readonly fromPage?: number;
    /** The first page behind the range; absent: to the end. */
    readonly toPage?: number;
    /** Estimated, to have the largest first. */
    readonly bytes: number;
}

/** Parts below this size are not worth what they cost: their rows cannot be written frozen. */
const smallestPartBytes = 64 * 1024 * 1024;

/**
 * All tables that hold rows of their own: also unlogged ones, partitions, and those that others inherit from; not those of extensions.
 *
 * @param client  in the snapshot that is copied
 */
export async function copiedTables(client: Client): Promise<CopiedTable[]> {
    return query(
        client,
        tableShape,
        `SELECT c.oid::text AS oid, s.nspname AS schema, c.relname AS name, pg_table_size(c.oid)::text AS bytes,
            (pg_relation_size(c.oid) / current_setting('block_size')::int)::text AS pages,
            pg_relation_filenode(c.oid)::text AS filenode,
            coalesce((SELECT json_agg(a.attname ORDER BY a.attnum) FROM pg_attribute a
                WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''), '[]') AS columns
        FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace
        WHERE c.relkind = 'r' AND s.nspname NOT LIKE 'pg\\_%' AND s.nspname NOT IN ('information_schema', '${markerSchema}')
            AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
        ORDER BY pg_table_size(c.oid) DESC, c.oid`,
    );
}

/**
 * A table of more than a connection's share of the data, which would be the last to end, is copied by several connections: in ranges of its
 * pages of half a share each, as a scan of a range reads no other page (PostgreSQL 14 or newer). Smaller tables are not: connections that
 * write into one table wait for each other to make it longer, which costs a fifth of the time where nothing is won by it.
 */
export function partsOf(tables: readonly CopiedTable[], jobs: number): TablePart[] {
    const total = tables.reduce((sum, { bytes }) => sum + bytes, 0);
    const partBytes = Math.max(smallestPartBytes, total / (2 * jobs));
    return tables.flatMap((table): TablePart[] => {
        const isDivided = jobs > 1 && table.bytes > total / jobs;
        const count = isDivided ? Math.min(Math.ceil(table.bytes / partBytes), table.pages) : 1;
        if (count <= 1) return [{ table, bytes: table.bytes }];
        const pages = Math.ceil(table.pages / count);
        const parts = Math.ceil(table.pages / pages);
        return Array.from({ length: parts }, (_, index) => ({
            table,
            bytes: Math.round(table.bytes / parts),
            ...(index === 0 ? {} : { fromPage: index * pages }),
            // The last part is open: the file may have grown since its size was read.
            ...(index === parts - 1 ? {} : { toPage: (index + 1) * pages }),
        }));
    });
}

/** Below this size nobody notices that a vacuum writes the rows again, and emptying a table costs more than its rows. */
const smallestFrozenBytes = 4 * 1024 * 1024;

/** Whether the rows are written as if they were old, which is possible into a table that was emptied in the same transaction. */
export function isFrozen(part: TablePart): boolean {
    return isWhole(part) && part.table.bytes >= smallestFrozenBytes;
}

/** Whether the table is copied, and its indexes are built, in one transaction: one after the other that takes longer than all at once. */
export function isSmall(part: TablePart): boolean {
    return isWhole(part) && !isFrozen(part);
}

function isWhole({ fromPage, toPage }: TablePart): boolean {
    return fromPage === undefined && toPage === undefined;
}

/** For messages: `table public.events, pages 100 to 200`. */
export function describePart(part: TablePart): string {
    const { table, fromPage, toPage } = part;
    const range = isWhole(part) ? "" : `, pages ${fromPage ?? 0} to ${toPage ?? "the last"}`;
    return `table ${table.schema}.${table.name}${range}`;
}

/** The statements that write a part's rows out and read them in, as text: it is the same for all versions. */
export function copyStatements(part: TablePart): { readonly out: string; readonly into: string } {
    const { table, fromPage, toPage } = part;
    const name = quotedName(table.schema, table.name);
    const columns = table.columns.map((column) => escapeIdentifier(column)).join(", ");
    // Without columns of its own there is nothing to list.
    const list = columns === "" ? "" : ` (${columns})`;
    if (isWhole(part)) {
        const frozen = isFrozen(part) ? " WITH (FREEZE)" : "";
        return { out: `COPY ${name}${list} TO STDOUT`, into: `COPY ${name}${list} FROM STDIN${frozen}` };
    }
    const bounds = [
        ...(fromPage === undefined ? [] : [`ctid >= '(${fromPage},0)'`]),
        ...(toPage === undefined ? [] : [`ctid < '(${toPage},0)'`]),
    ];
    return {
        out: `COPY (SELECT ${columns} FROM ONLY ${name} WHERE ${bounds.join(" AND ")}) TO STDOUT`,
        into: `COPY ${name}${list} FROM STDIN`,
    };
}
