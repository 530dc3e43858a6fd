/** Rows whose texts hold NUL characters, which PostgreSQL cannot store: found, and mended in the copy where that is accepted. */
import { z } from "zod";
import type { Finding } from "../../contract/index.ts";
import { MigrationError } from "../run/errors.ts";
import { finding } from "../run/finding.ts";
import { ignoredTables, ownTables } from "./portRules.ts";
import { askPythonProgram, type PythonProgramOptions } from "./pythonProgram.ts";

const nulRow = z.strictObject({
    table: z.string(),
    /** For people: the rowid, and what of the primary key is no secret. */
    key: z.string(),
    columns: z.array(z.string()),
});
type NulRow = z.infer<typeof nulRow>;

const answer = z.strictObject({
    rows: z.array(nulRow),
    /** Those that would get the key of another row. */
    collisions: z.array(nulRow),
    /** What rows would refer to in vain; null when nothing would. */
    dangling: z.string().nullable(),
});
export type NulRows = z.infer<typeof answer>;

/** Each text of a database of 42 GB is looked at. */
const lookSeconds = 12 * 3600;
const named = 10;

/**
 * Takes NUL out of the texts of a private copy. Rows are never left out, as `synapse_port_db` leaves them out without a word: a row of
 * `devices` less is a session less.
 *
 * @param database  path of the copy; never the original
 * @param keep  whether they stay taken out; else it is only seen whether that can be done
 */
export function stripNul(database: string, keep: boolean, options: PythonProgramOptions): Promise<NulRows> {
    // What is made anew in PostgreSQL needs no repair.
    const question = { database, skip: [...ignoredTables.keys(), ...ownTables], keep };
    return askPythonProgram({ program: "strip_nul.py", question, timeoutSeconds: lookSeconds }, answer, options);
}

/** @param accepted  config `sqliteNul` */
export function nulFindings({ rows, collisions, dangling }: NulRows, accepted: "strip" | undefined): Finding[] {
    if (rows.length === 0) return [];
    return [
        finding(accepted === undefined ? "SM-E0977" : "SM-W0977", told(rows)),
        ...(collisions.length === 0 ? [] : [finding("SM-E0978", told(collisions))]),
        ...(dangling === null ? [] : [finding("SM-E0978", dangling)]),
    ];
}

/** @throws MigrationError SM-E0977 for rows with NUL that nobody has accepted to be repaired, SM-E0978 for those that cannot be */
export function refuseNul(found: NulRows, accepted: "strip" | undefined, where: string): void {
    const { rows, collisions, dangling } = found;
    const changed = "nothing: the copy is thrown away";
    if (rows.length > 0 && accepted === undefined)
        throw new MigrationError("SM-E0977", { where, found: told(rows), changed });
    if (collisions.length > 0) throw new MigrationError("SM-E0978", { where, found: told(collisions), changed });
    if (dangling !== null) throw new MigrationError("SM-E0978", { where, found: dangling, changed });
}

/** How many, and the first of them. */
export function told(rows: readonly NulRow[]): string {
    const first = rows.slice(0, named).map(({ table, key, columns }) => `${table} (${key}): ${columns.join(", ")}`);
    return `${rows.length} rows: ${first.join("; ")}${rows.length > named ? "; …" : ""}`;
}
