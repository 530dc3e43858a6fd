/** Restores a directory-format archive into a database that is there and has none of its objects. */
import { totalmem } from "node:os";
import { join } from "node:path";
import { removePrivateFile } from "../../run/atomicFile.ts";
import type { StepRun } from "../../run/step.ts";
import { runDatabaseProgram } from "../server/clientPrograms.ts";
import type { Definition } from "../catalogue/catalogue.ts";
import { withClient, type DatabaseAddress } from "../connection.ts";
import { refuseSuperuser } from "../plainDump/loadingSession.ts";
import { writeRestoreList } from "./restoreList.ts";

/** What is restored, and into which database. */
export interface ArchiveRestore {
    readonly clientDirectory: string;
    /** Of the archive. */
    readonly directory: string;
    /** The database and the role that will own everything in it. */
    readonly address: DatabaseAddress;
    /** The same database, as the role that makes what only a superuser may make. */
    readonly admin: DatabaseAddress;
    /** Of the database that was dumped. */
    readonly definitions: readonly Definition[];
    /** Names sessions and the password file. */
    readonly step: string;
    readonly jobs: number;
    /** How many there are, to say how far it got. */
    readonly tables: number;
}

const mebibyte = 1024 * 1024;
/** On the target all is owned by the role that restores; tablespaces are directories of the source's server. */
export const unwanted = ["--no-owner", "--no-acl", "--no-tablespaces", "--no-publications", "--no-subscriptions"];

/**
 * Definitions, then rows, then indexes, constraints and triggers: Synapse's trigger functions name tables without their schema, which
 * fails under the empty search path that pg_restore sets.
 *
 * @throws MigrationError SM-E1101 with what pg_restore said, SM-E0513 when a unique index finds duplicates
 */
export async function restoreArchive(
    { clientDirectory, directory, address, admin, definitions, step, jobs, tables }: ArchiveRestore,
    run: Pick<StepRun, "directory" | "signal" | "progress">,
): Promise<void> {
    await withClient(address, { step, signal: run.signal }, refuseSuperuser);
    const memory = Math.min(1024, Math.max(64, Math.floor(totalmem() / mebibyte / 4 / jobs)));
    // What a crash loses is restored again: the marker's own commit waits for the disk.
    const settings = { synchronous_commit: "off", maintenance_work_mem: `${memory}MB` };
    const listFile = join(run.directory, `${step}.list`);
    const list = { clientDirectory, archive: directory, definitions, target: address, admin };
    await writeRestoreList(listFile, list, { step, signal: run.signal });
    let items = 0;
    for (const section of ["pre-data", "data", "post-data"] as const) {
        items = 0;
        await run.progress.during(
            `restoring ${section}`,
            () =>
                runDatabaseProgram(
                    {
                        directory: clientDirectory,
                        program: "pg_restore",
                        args: [
                            ...["--section", section, "--exit-on-error", "--verbose", ...unwanted],
                            ...["--use-list", listFile, "--jobs", String(jobs), directory],
                        ],
                        address,
                        step,
                        settings,
                        onErrorLine: (line) => {
                            if (line.includes("finished item")) items += 1;
                        },
                    },
                    run,
                ),
            () => (section === "data" ? `${items} items of about ${tables} tables` : `${items} items`),
        );
    }
    await removePrivateFile(listFile);
}
