/** What a SQLite database has to say for itself before it is ported: a copy of it is checked to its end. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Finding } from "../../contract/index.ts";
import { copySqliteDatabase } from "../sqlite/privateCopy.ts";
import { openSqlite } from "../sqlite/openSqlite.ts";
import { installedSynapse } from "../synapse/targetVersion.ts";
import { finding } from "../run/finding.ts";

const directoryName = "assessed-sqlite";

export interface SqliteQuestion {
    readonly paths: readonly string[];
    readonly serverName: string;
    readonly passphrase?: string | undefined;
    readonly workDirectory: string;
    /** Of the target's Synapse. */
    readonly python: string;
}

/**
 * SM-E0506 when the target's Synapse is too old for it, SM-E0802 for users of another server.
 *
 * @throws MigrationError those of `copySqliteDatabase`: damaged, encrypted, in use
 */
export async function checkSqlite({ paths, serverName, python, ...opening }: SqliteQuestion): Promise<Finding[]> {
    const directory = join(opening.workDirectory, directoryName);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700 });
    try {
        const { file } = await openSqlite(paths, { ...opening, directory });
        const copy = await copySqliteDatabase({ database: file, destination: join(directory, "copy.db"), python });
        const target = await installedSynapse(python);
        const needed = copy.compatVersion ?? copy.schemaVersion;
        return [
            ...(needed > target.schema
                ? [
                      finding(
                          "SM-E0506",
                          `the database needs a Synapse of schema ${needed} or newer; the target's Synapse ${target.version} writes ${target.schema}`,
                      ),
                  ]
                : []),
            ...copy.domains
                .filter(({ domain }) => domain !== serverName)
                .map(({ domain, users }) =>
                    finding("SM-E0802", `${users} users of ${domain}; the server is ${serverName}`),
                ),
        ];
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}
