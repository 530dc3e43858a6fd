/** A table on both sides: which columns go together, and which of them tell rows apart. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { queryOne, quotedName, type Client } from "../postgres/connection.ts";
import { MigrationError } from "../run/errors.ts";
import { readColumns, readUniqueIndexes, type Column, type UniqueIndex } from "./tableShape.ts";

/** Where Synapse has its tables. */
export const liveSchema = "public";

export interface PairedTable {
    readonly name: string;
    /** Quoted, with its schema. */
    readonly live: string;
    readonly side: string;
    /** Of the live table, without computed ones. */
    readonly columns: readonly Column[];
    /** Names of those that the backup has too. */
    readonly common: readonly string[];
    readonly onlyLive: readonly string[];
    readonly onlyBackup: readonly string[];
    /** Tell rows apart; empty where whole rows are compared. */
    readonly key: readonly string[];
    readonly unique: readonly UniqueIndex[];
    /** SQL of a column of the backup as the live column's type; NULL where the backup lacks it. */
    readonly asLive: (alias: string, column: string) => string;
}

/**
 * @throws MigrationError SM-E0980 when the homeserver has no such table; SM-E0987 when a value would have to be made up, or be changed to
 *     fit
 */
export async function pairTable(client: Client, sideSchema: string, name: string): Promise<PairedTable> {
    const columns = (await readColumns(client, liveSchema, name)).filter(({ generated }) => !generated);
    const side = await readColumns(client, sideSchema, name);
    if (columns.length === 0)
        throw new MigrationError("SM-E0980", {
            where: "the homeserver's database",
            found: `no table ${name} in schema ${liveSchema}`,
        });
    const inBackup = new Map(side.map((column) => [column.name, column]));
    const faults: string[] = [];
    for (const column of columns) {
        const given = inBackup.get(column.name);
        if (given === undefined && column.notNull && !column.hasDefault)
            faults.push(`${column.name} must not be empty, and the backup does not have it`);
        if (given !== undefined && !(await fits(client, given, column)))
            faults.push(`${column.name} is ${given.type} in the backup and ${column.type} now`);
    }
    if (faults.length > 0) throw new MigrationError("SM-E0987", { where: `table ${name}`, found: faults.join("\n") });
    const common = columns.filter((column) => inBackup.has(column.name)).map((column) => column.name);
    const unique = await readUniqueIndexes(client, liveSchema, name);
    const names = new Set(columns.map((column) => column.name));
    const table = {
        name,
        live: quotedName(liveSchema, name),
        side: quotedName(sideSchema, name),
        columns,
        common,
        onlyLive: columns.filter((column) => !inBackup.has(column.name)).map((column) => column.name),
        onlyBackup: side.filter((column) => !names.has(column.name)).map((column) => column.name),
        unique,
        asLive(alias: string, wanted: string) {
            const type = columns.find((column) => column.name === wanted)?.type ?? "text";
            const given = inBackup.get(wanted);
            if (given === undefined) return `NULL::${type}`;
            return given.type === type
                ? `${alias}.${escapeIdentifier(wanted)}`
                : `${alias}.${escapeIdentifier(wanted)}::${type}`;
        },
    };
    return { ...table, key: await keyOf(client, table) };
}

/** The same type, or one that PostgreSQL itself takes for the other without being asked. */
async function fits(client: Client, given: Column, live: Column): Promise<boolean> {
    if (given.type === live.type) return true;
    if (live.limited) return false;
    const { implicit } = await queryOne(
        client,
        z.object({ implicit: z.boolean() }),
        `SELECT EXISTS (SELECT FROM pg_cast WHERE castsource = $1::regtype AND casttarget = $2::regtype AND castcontext = 'i')
            OR $1::regtype = $2::regtype AS implicit`,
        [given.type, live.type],
    );
    return implicit;
}

/** The columns of the primary key, else of a unique index that every row of both sides is in. */
async function keyOf(client: Client, table: Omit<PairedTable, "key">): Promise<readonly string[]> {
    for (const { columns, predicate } of table.unique) {
        if (columns === null || predicate !== null || !columns.every((name) => table.common.includes(name))) continue;
        const empty = columns.map((name) => `${escapeIdentifier(name)} IS NULL`).join(" OR ");
        const { found } = await queryOne(
            client,
            z.object({ found: z.boolean() }),
            `SELECT EXISTS (SELECT FROM ${table.live} WHERE ${empty}) OR EXISTS (SELECT FROM ${table.side} WHERE ${empty}) AS found`,
        );
        if (!found) return columns;
    }
    return [];
}
