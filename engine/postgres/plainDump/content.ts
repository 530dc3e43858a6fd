/** What a plain dump holds, and whether that is all of a homeserver's database. */
import { MigrationError } from "../../run/errors.ts";
import type { Definition } from "../catalogue/catalogue.ts";
import type { Sequence } from "../sequences/sequences.ts";

export interface PlainDumpTable {
    readonly schema: string;
    readonly name: string;
    /** In the order of the dump's COPY. */
    readonly columns: readonly string[];
    readonly rows: number;
    /** Of its lines, as they stand in the dump. */
    readonly bytes: number;
    /** Does not depend on the order of the lines: see `LineSum`. */
    readonly digest: string;
}

export interface PlainDumpSequence {
    readonly schema: string;
    readonly name: string;
    readonly lastValue: string;
    readonly isCalled: boolean;
}

export interface PlainDumpContent {
    /** `Dumped from database version`, empty when the dump does not say. */
    readonly serverVersion: string;
    /** `Dumped by pg_dump version`, empty when the dump does not say. */
    readonly programVersion: string;
    /** Of the decompressed dump. */
    readonly bytes: number;
    readonly sha256: string;
    /** One for each COPY block, by schema and name. */
    readonly tables: readonly PlainDumpTable[];
    readonly sequences: readonly PlainDumpSequence[];
    /** What was left out on purpose: kind -> statements. */
    readonly leftOut: Readonly<Record<string, number>>;
    /** Roles of the old server that the dump names. */
    readonly owners: readonly string[];
    readonly statements: number;
    /** What a database that is made from the dump has, by the dump's text. */
    readonly declared: readonly Definition[];
    /** With their settings, as they stand when the dump is loaded. */
    readonly declaredSequences: readonly Sequence[];
}

/** In {@link PlainDumpContent.leftOut} when the dump has the table, but not its rows. */
const withoutOneTimeKeys = "data of e2e_one_time_keys_json";
/** Its rows are of no use after a restore: Synapse's guide has them excluded, or emptied before the start. */
const oneTimeKeys = "e2e_one_time_keys_json";

/** Which tables a dump makes, and which it brings rows for. */
export interface DumpedTable {
    readonly schema: string;
    readonly name: string;
    readonly unlogged: boolean;
    readonly hasData: boolean;
}

/**
 * @returns kinds of data that the dump leaves out and that may be missing
 * @throws MigrationError SM-E0907 when the rows of a table are missing (B37), SM-E0909 when it is not Synapse's database (B38)
 */
export function refusePartialDump(tables: readonly DumpedTable[], where: string): string[] {
    const names = new Set(tables.map(({ name }) => name));
    const lacking = ["events", "users"].filter((name) => !names.has(name));
    if (lacking.length > 0) {
        throw new MigrationError("SM-E0909", {
            where,
            found: `no table ${lacking.join(" or ")}; ${tables.length} tables${exampleOf(tables)}`,
            expected: "the database of a Synapse homeserver",
            fix: "was the right database dumped? `psql --list` shows those of a server",
        });
    }
    const empty = tables.filter(({ hasData }) => !hasData);
    if (empty.length === tables.length) {
        throw new MigrationError("SM-E0907", {
            where,
            found: `${tables.length} tables and no rows at all, as --schema-only makes it`,
            expected: "a COPY for each table",
        });
    }
    const missing = empty.filter(({ name, unlogged }) => !unlogged && name !== oneTimeKeys);
    if (missing.length > 0) {
        throw new MigrationError("SM-E0907", {
            where,
            found: `no data of ${missing.length} tables${exampleOf(missing)}`,
            expected: `a COPY for each table; only ${oneTimeKeys} may be left out`,
        });
    }
    return empty.map(({ name, unlogged }) =>
        unlogged ? "data of unlogged tables" : name === oneTimeKeys ? withoutOneTimeKeys : name,
    );
}

/** What a person should know about a dump that is accepted: SM-W0908. */
export function plainDumpWarnings(content: PlainDumpContent, where: string): MigrationError[] {
    if (content.leftOut[withoutOneTimeKeys] === undefined) return [];
    return [new MigrationError("SM-W0908", { where, found: `no data of table ${oneTimeKeys}` })];
}

function exampleOf(tables: readonly DumpedTable[]): string {
    if (tables.length === 0) return "";
    const names = tables.slice(0, 5).map(({ schema, name }) => `${schema}.${name}`);
    return `: ${names.join(", ")}${tables.length > names.length ? ", …" : ""}`;
}
