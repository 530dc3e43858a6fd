/** What a SQLite database has to say for itself before it is ported: a copy of it is checked to its end. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Finding } from "../../contract/index.ts";
import { copySqliteDatabase } from "../sqlite/privateCopy.ts";
import { nulFindings, stripNul } from "../sqlite/stripNul.ts";
import { openSqlite } from "../sqlite/openSqlite.ts";
import { installedSynapse } from "../synapse/targetVersion.ts";
import { finding } from "../run/finding.ts";

const directoryName = "assessed-sqlite";

export interface SqliteQuestion {
    readonly paths: readonly string[];
    readonly serverName: string;
    readonly passphrase?: string | undefined;
    readonly workDirectory: string;
    /** Whether NUL characters may be taken out; see config `sqliteNul`. */
    readonly sqliteNul?: "strip" | undefined;
    /** Of the target's Synapse. */
    readonly python: string;
}

/**
 * SM-E0506 when the target's Synapse is too old for it, SM-E0802 for users of another server, SM-E0977 and SM-E0978 for texts with NUL.
 *
 * @throws MigrationError those of `copySqliteDatabase`: damaged, encrypted, in use
 */
export async function checkSqlite({
    paths,
    serverName,
    python,
    sqliteNul,
    ...opening
}: SqliteQuestion): Promise<Finding[]> {
    const directory = join(opening.workDirectory, directoryName);
    await rm(directory, { recursive: true, force: true });
    await mkdir(directory, { mode: 0o700 });
    try {
        const { file } = await openSqlite(paths, { ...opening, directory });
        const copy = await copySqliteDatabase({ database: file, destination: join(directory, "copy.db"), python });
        const nul = await stripNul(join(directory, "copy.db"), false, { python });
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
            ...nulFindings(nul, sqliteNul),
        ];
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}
