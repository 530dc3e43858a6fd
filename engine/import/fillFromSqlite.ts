/** Fills the incoming database from Synapse's SQLite database: copied, brought up to date, ported by Synapse's own script, compared. */
import { join } from "node:path";
import { mkdir, rm } from "node:fs/promises";
import type { Finding } from "../../contract/index.ts";
import { finding } from "../run/finding.ts";
import { withClient } from "../postgres/connection.ts";
import { tableLineDigests } from "../postgres/plainDump/lineDigest.ts";
import { comparePorted } from "../sqlite/compare.ts";
import { copySqliteDatabase } from "../sqlite/privateCopy.ts";
import { openSqlite } from "../sqlite/openSqlite.ts";
import { portSqliteDatabase } from "../sqlite/port.ts";
import { portedTables } from "../sqlite/ported.ts";
import { repairPorted } from "../sqlite/repair.ts";
import { nulFindings, refuseNul, stripNul, told, type NulRows } from "../sqlite/stripNul.ts";
import { upgradeSqliteCopy } from "../sqlite/upgradeSchema.ts";
import type { Fill } from "./filled.ts";

const directoryName = "sqlite";
const copyName = "homeserver.db";

export const fillFromSqlite: Fill = async (spec, target, run) => {
    const { source, passphrase, secretKey, targetPython: python } = spec;
    const directory = join(run.directory, directoryName);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700 });
    const programs = { python, signal: run.signal, onProgress: (line: string) => run.progress.say(line) };
    try {
        const opened = await openSqlite(source.database, {
            ...{ passphrase, secretKey },
            workDirectory: run.directory,
            directory,
            signal: run.signal,
        });
        const database = join(directory, copyName);
        const found = await run.progress.during("copying the SQLite database", () =>
            copySqliteDatabase({ database: opened.file, destination: database, ...programs }),
        );
        const withoutNul = async (): Promise<NulRows> => {
            const nul = await run.progress.during("looking for NUL characters in texts", () =>
                stripNul(database, spec.sqliteNul === "strip", programs),
            );
            refuseNul(nul, spec.sqliteNul, opened.file);
            return nul;
        };
        const nul = await withoutNul();
        const upgraded = await run.progress.during("bringing the copy up to date", () =>
            upgradeSqliteCopy({ database, serverName: source.serverName, found, ...programs }),
        );
        // The upgrade makes rows out of others, whose JSON may hold what is a NUL in a text.
        const nulOfUpgrade = upgraded.checked === undefined ? undefined : await withoutNul();
        const repairedRows = [...nul.rows, ...(nulOfUpgrade?.rows ?? [])];
        if (repairedRows.length > 0)
            run.progress.note(
                `NUL characters were taken out of texts of ${told(repairedRows)}. All of them are in the evidence of the step import; the SQLite file is as it was.`,
            );
        const ported = await run.progress.during("porting with synapse_port_db", () =>
            portSqliteDatabase({ database, serverName: source.serverName, target, ...programs }),
        );
        const repairs = await run.progress.during("repairing what the port leaves behind", () =>
            repairPorted(target, run.signal),
        );
        const comparison = await run.progress.during("comparing every row with the copy", () =>
            comparePorted({ database, target, ...programs }),
        );
        const tables = await withClient(target, { step: "import", readOnly: true }, portedTables);
        const listed = tables.map(({ name, columns }) => ({
            schema: "public",
            name,
            columns: columns.map((column) => column.name),
        }));
        // From here on the database is compared with itself as it was after the comparison with the copy.
        const digests = await tableLineDigests(target, listed, { jobs: spec.jobs, signal: run.signal });
        const digestOf = new Map(digests.map((digest) => [digest.name, digest]));
        const { bytes, sha256 } = found;
        return {
            input: opened.input,
            dump: { serverVersion: "SQLite", programVersion: "synapse_port_db", bytes, sha256 },
            tables: listed.map((table) => ({
                ...table,
                rows: digestOf.get(table.name)?.rows ?? 0,
                bytes: 0,
                digest: digestOf.get(table.name)?.digest ?? "absent",
            })),
            findings: [
                ...findingsOf(comparison.checks),
                ...nulFindings({ rows: repairedRows, collisions: [], dangling: null }, spec.sqliteNul),
            ],
            evidence: { sqlite: found, upgraded, withoutNul: repairedRows, ported, repairs, comparison },
        };
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
};

function findingsOf(checks: Awaited<ReturnType<typeof comparePorted>>["checks"]): Finding[] {
    return checks
        .filter(({ state }) => state === "failed")
        .map(({ id, evidence }) => finding("SM-E0601", `${id}: ${evidence}`));
}
