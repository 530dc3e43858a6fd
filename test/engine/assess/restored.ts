/** What pg_dump and pg_restore make of a database, as the steps `dump` and `restore` call them. */
import { mkdtemp } from "node:fs/promises";
import { join } from "node:path";
import { runDatabaseProgram } from "../../../engine/postgres/server/clientPrograms.ts";
import type { TestCluster } from "../../support/cluster.ts";

/**
 * Restores a dump of the database into a new one.
 *
 * @returns the name of the new database, and what pg_restore said when it failed
 */
export async function restored(cluster: TestCluster, source: string): Promise<{ name: string; failure?: string }> {
    const run = {
        directory: await mkdtemp(join(cluster.directory, "restored-")),
        signal: new AbortController().signal,
    };
    const dump = join(run.directory, "dump");
    const base = { directory: cluster.programs, step: "test" };
    await runDatabaseProgram(
        { ...base, program: "pg_dump", args: ["-Fd", "-Z0", "-f", dump], address: cluster.superuserAddress(source) },
        run,
    );
    const name = await cluster.createDatabase("empty");
    try {
        await runDatabaseProgram(
            {
                ...base,
                program: "pg_restore",
                args: ["--exit-on-error", "--no-owner", dump],
                address: cluster.superuserAddress(name),
            },
            run,
        );
        return { name };
    } catch (error) {
        return { name, failure: String(error) };
    }
}
