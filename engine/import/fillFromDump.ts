/** Fills the incoming database from a dump of pg_dump, read as what it is: a foreign program. */
import { finding } from "../run/finding.ts";
import { openDump } from "../bundle/dump/openDump.ts";
import { readOpened } from "../bundle/dump/readOpened.ts";
import { withClient } from "../postgres/connection.ts";
import { plainDumpWarnings } from "../postgres/plainDump/content.ts";
import { loadPlainDump } from "../postgres/plainDump/load.ts";
import { readDatabaseFacts } from "../postgres/server/serverFacts.ts";
import { MigrationError } from "../run/errors.ts";
import type { Fill } from "./filled.ts";

/** The bytes count only once every program they went through has ended well. */
export const fillFromDump: Fill = async (spec, address, run) => {
    const { source, passphrase, secretKey, database } = spec;
    const { versionNumber, version } = await withClient(address, { step: "import" }, readDatabaseFacts);
    const opened = await openDump(source.database, {
        ...{ passphrase, secretKey },
        workDirectory: run.directory,
        clientDirectory: database.clientDirectory,
        signal: run.signal,
        progress: run.progress,
    });
    try {
        let state = "opening the dump";
        const content = await run.progress.during(
            "loading the dump",
            () =>
                readOpened(opened, (dump) =>
                    loadPlainDump({
                        ...{ dump, address, jobs: spec.jobs, signal: run.signal },
                        onProgress: ({ bytes, tables, rows, phase }) =>
                            (state = `${phase}: ${bytes} bytes, ${tables} tables, ${rows} rows`),
                    }),
                ),
            () => state,
        );
        const input = await opened.finished;
        refuseNewerDump(content.serverVersion, { versionNumber, version }, source.database.join(", "));
        const { tables, leftOut, owners, statements, serverVersion, programVersion, bytes, sha256 } = content;
        return {
            input,
            dump: { serverVersion, programVersion, bytes, sha256 },
            tables: tables.map(({ columns, ...table }) => ({ ...table, columns: [...columns] })),
            findings: plainDumpWarnings(content, source.database.join(", ")).map(({ code, detail }) =>
                finding(code, `${detail.where}: ${detail.found}`),
            ),
            evidence: { leftOut, owners, statements },
        };
    } finally {
        await opened.close();
    }
};

/** @throws MigrationError SM-E0503 */
function refuseNewerDump(dump: string, server: { versionNumber: number; version: string }, where: string): void {
    const major = Number.parseInt(dump, 10);
    if (Number.isNaN(major) || Math.floor(server.versionNumber / 10000) >= major) return;
    throw new MigrationError("SM-E0503", {
        where,
        found: `a dump of PostgreSQL ${dump}; the target's server is ${server.version}`,
        expected: `PostgreSQL ${major} or newer on the target`,
    });
}
