/** Copies a snapshot with PostgreSQL's own programs. */
import { join } from "node:path";
import { readDefinitions } from "../../../../engine/postgres/catalogue/catalogue.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { runDatabaseProgram } from "../../../../engine/postgres/server/clientPrograms.ts";
import { tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import type { CopyRows } from "../../../../engine/postgres/replication/follow.ts";
import { restoreArchive } from "../../../../engine/postgres/pgDump/restoreArchive.ts";

/** The rows of the snapshot by PostgreSQL's own programs. */
export function copyRowsByDump(programs: string): CopyRows {
    return async ({ source, target, admin, snapshot, step, jobs }, run) => {
        const directory = join(run.directory, `copy-${step}`);
        const tables = await tableFingerprints(source, { step, jobs, snapshot, signal: run.signal });
        const args = ["--format", "directory", "--snapshot", snapshot, "--file", directory, "--no-owner", "--no-acl"];
        await runDatabaseProgram(
            {
                ...{ directory: programs, program: "pg_dump" as const, address: source, step },
                args: [...args, "--no-publications", "--exclude-schema", "synapse_migration"],
            },
            run,
        );
        await restoreArchive(
            {
                ...{ clientDirectory: programs, directory, address: target, admin, step, jobs, tables: tables.length },
                definitions: await withClient(source, { step }, readDefinitions),
            },
            run,
        );
        return { tables, bytes: 0 };
    };
}
