/** How a table of the backup differs from the homeserver's: counts, and the keys of a few rows. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { query, queryOne, type Client } from "../postgres/connection.ts";
import type { PairedTable } from "./pairedTable.ts";
import { columnDiffers, sameKeyAcross } from "./plannedRows.ts";
import { shownKey } from "./secretColumns.ts";

const rowsShape = z.strictObject({
    rows: z.number().int().min(0),
    /** Keys of the first of them; without a key, the beginnings of digests of whole rows. */
    samples: z.array(z.string()),
});

export const differenceShape = z.strictObject({
    table: z.string(),
    key: z.array(z.string()),
    onlyBackup: rowsShape,
    onlyLive: rowsShape,
    different: rowsShape,
    same: z.number().int().min(0),
    /** Column -> rows in which its values differ. */
    differingColumns: z.record(z.string(), z.number().int()),
    columnsOnlyBackup: z.array(z.string()),
    columnsOnlyLive: z.array(z.string()),
    /** Order-independent hashes of all rows: see `tableDigest`. */
    backupDigest: z.string(),
    liveDigest: z.string(),
});
export type TableDifference = z.infer<typeof differenceShape>;

const mostSamples = 10;
const counted = z.coerce.number().int();

/** @param client  in one snapshot */
export async function differenceOf(client: Client, table: PairedTable): Promise<TableDifference> {
    const rows = table.key.length === 0 ? await byWholeRow(client, table) : await byKey(client, table);
    return {
        ...{ table: table.name, key: [...table.key] },
        ...rows,
        columnsOnlyBackup: [...table.onlyBackup],
        columnsOnlyLive: [...table.onlyLive],
        backupDigest: await tableDigest(client, table.side),
        liveDigest: await tableDigest(client, table.live),
    };
}

/** Row count and sum of 64-bit hashes over the text of all rows: finds what was changed by chance, not by somebody who means it. */
async function tableDigest(client: Client, table: string): Promise<string> {
    const { digest } = await queryOne(
        client,
        z.object({ digest: z.string() }),
        `SELECT count(*)::text || ':' || coalesce(sum(hashtextextended(t::text COLLATE "C", 0)), 0)::text AS digest FROM ${table} t`,
    );
    return digest;
}

type Rows = Pick<TableDifference, "onlyBackup" | "onlyLive" | "different" | "same" | "differingColumns">;

async function byKey(client: Client, table: PairedTable): Promise<Rows> {
    const match = sameKeyAcross(table, "b", "l");
    const compared = table.common.filter((name) => !table.key.includes(name));
    const differs = compared.map((name) => columnDiffers(table, name, "b", "l"));
    const anyDiffers = differs.length === 0 ? "false" : differs.join(" OR ");
    const counts = await queryOne(
        client,
        z.object({ common: counted, different: counted, columns: z.array(counted) }),
        `SELECT count(*)::text AS common, count(*) FILTER (WHERE ${anyDiffers})::text AS different,
            ARRAY[${differs.map((sql) => `count(*) FILTER (WHERE ${sql})`).join(", ")}]::bigint[]::text[] AS columns
        FROM ${table.side} b JOIN ${table.live} l ON ${match}`,
    );
    const differing = compared.map((name, index): [string, number] => [name, counts.columns[index] ?? 0]);
    const backup = `${table.side} b WHERE NOT EXISTS (SELECT FROM ${table.live} l WHERE ${match})`;
    const live = `${table.live} l WHERE NOT EXISTS (SELECT FROM ${table.side} b WHERE ${match})`;
    const both = `${table.side} b JOIN ${table.live} l ON ${match} WHERE ${anyDiffers}`;
    return {
        onlyBackup: await sampled(client, table, "b", backup),
        onlyLive: await sampled(client, table, "l", live),
        different: await sampled(client, table, "l", both),
        same: counts.common - counts.different,
        differingColumns: Object.fromEntries(differing.filter(([, rows]) => rows > 0)),
    };
}

async function sampled(
    client: Client,
    table: PairedTable,
    alias: string,
    from: string,
): Promise<z.infer<typeof rowsShape>> {
    const { rows } = await queryOne(client, z.object({ rows: counted }), `SELECT count(*)::text AS rows FROM ${from}`);
    if (rows === 0) return { rows, samples: [] };
    const order = table.key.map((name) => `${alias}.${escapeIdentifier(name)}`).join(", ");
    const samples = await query(
        client,
        z.object({ shown: z.string() }),
        `SELECT ${shownKey(alias, table.name, table.key)} AS shown FROM ${from} ORDER BY ${order} LIMIT ${mostSamples}`,
    );
    return { rows, samples: samples.map(({ shown }) => shown) };
}

async function byWholeRow(client: Client, table: PairedTable): Promise<Rows> {
    const texts = (of: (name: string) => string): string => table.common.map((name) => `${of(name)}::text`).join(", ");
    const backup = `SELECT ${texts((name) => table.asLive("b", name))} FROM ${table.side} b`;
    const live = `SELECT ${texts((name) => `l.${escapeIdentifier(name)}`)} FROM ${table.live} l`;
    const rowsOf = async (from: string): Promise<z.infer<typeof rowsShape>> => {
        const { rows } = await queryOne(
            client,
            z.object({ rows: counted }),
            `SELECT count(*)::text AS rows FROM (${from}) w`,
        );
        const samples = await query(
            client,
            z.object({ shown: z.string() }),
            `SELECT 'row sha256:' || left(encode(sha256(convert_to(w::text, 'UTF8')), 'hex'), 12) AS shown
            FROM (${from}) w ORDER BY shown LIMIT ${mostSamples}`,
        );
        return { rows, samples: samples.map(({ shown }) => shown) };
    };
    return {
        onlyBackup: await rowsOf(`${backup} EXCEPT ALL ${live}`),
        onlyLive: await rowsOf(`${live} EXCEPT ALL ${backup}`),
        different: { rows: 0, samples: [] },
        same: (await rowsOf(`${backup} INTERSECT ALL ${live}`)).rows,
        differingColumns: {},
    };
}
