/** Fills the incoming database from a dump of pg_dump, read as what it is: a foreign program. */
import { finding } from "../run/finding.ts";
import { openDump } from "../bundle/dump/openDump.ts";
import { readOpened } from "../bundle/dump/readOpened.ts";
import { foreignCode } from "../postgres/catalogue/foreignCode.ts";
import { withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { plainDumpWarnings } from "../postgres/plainDump/content.ts";
import { loadPlainDump } from "../postgres/plainDump/load.ts";
import { repairSequences, type SequenceRepair } from "../postgres/sequences/repairSequences.ts";
import type { Sequence } from "../postgres/sequences/sequences.ts";
import { readDatabaseFacts } from "../postgres/server/serverFacts.ts";
import { MigrationError } from "../run/errors.ts";
import type { Fill } from "./filled.ts";

/** The bytes count only once every program they went through has ended well. */
export const fillFromDump: Fill = async (spec, address, run) => {
    const { source, passphrase, secretKey, database } = spec;
    const { versionNumber, version } = await withClient(address, { step: "import" }, readDatabaseFacts);
    const opened = await openDump(source.database, {
        ...{ passphrase, secretKey, databaseName: source.databaseName },
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
                        beforeRows: () => refuseForeignCode(address, spec.foreignCode ?? [], run.signal),
                        onProgress: ({ bytes, tables, rows, phase }) =>
                            (state = `${phase}: ${bytes} bytes, ${tables} tables, ${rows} rows`),
                    }),
                ),
            () => state,
        );
        const input = await opened.finished;
        refuseNewerDump(content.serverVersion, { versionNumber, version }, source.database.join(", "));
        const repairs = await withClient(address, { step: "import", signal: run.signal }, (client) =>
            repairSequences(client, ["uncalled"]),
        );
        for (const { sequence, from, to, why } of repairs)
            run.progress.say(`sequence ${sequence} set from ${from} to ${to}: ${why}`);
        const { tables, leftOut, owners, statements, serverVersion, programVersion, bytes, sha256 } = content;
        return {
            input,
            dump: { serverVersion, programVersion, bytes, sha256 },
            tables: tables.map(({ columns, ...table }) => ({ ...table, columns: [...columns] })),
            findings: plainDumpWarnings(content, source.database.join(", ")).map(({ code, detail }) =>
                finding(code, `${detail.where}: ${detail.found}`),
            ),
            declared: [...content.declared],
            sequences: withRepairs(content.declaredSequences, repairs),
            evidence: { leftOut, owners, statements, repairs },
        };
    } finally {
        await opened.close();
    }
};

function withRepairs(sequences: readonly Sequence[], repairs: readonly SequenceRepair[]): Sequence[] {
    const repaired = new Map(repairs.map(({ sequence, to }) => [sequence, to]));
    return sequences.map((sequence) => {
        const to = repaired.get(`${sequence.schema}.${sequence.name}`);
        return to === undefined ? sequence : { ...sequence, lastValue: to, isCalled: true };
    });
}

/** @throws MigrationError SM-E0545 naming what the dump brings that is not Synapse's */
async function refuseForeignCode(
    address: DatabaseAddress,
    accepted: readonly string[],
    signal: AbortSignal,
): Promise<void> {
    const names = await withClient(address, { step: "import", readOnly: true, signal }, (client) =>
        foreignCode(client, accepted),
    );
    if (names.length === 0) return;
    throw new MigrationError("SM-E0545", {
        where: "the dump",
        found: names.join("\n"),
        expected: "the functions and triggers of Synapse, and what config `foreignCode` names",
        changed: "nothing that serves, and none of it has run: no row was loaded",
    });
}

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
