/** Brings a copy of a Synapse's SQLite database to the schema of the target's Synapse, with Synapse's own script. */
import { runProgram } from "../hosts/program.ts";
import { MigrationError } from "../run/errors.ts";
import { installedSynapse } from "../synapse/targetVersion.ts";
import { checkDatabase, type CheckedDatabase } from "./copyDatabase.ts";
import type { PythonProgramOptions } from "./pythonProgram.ts";
import { withScriptConfig } from "./synapseScriptConfig.ts";

export interface UpgradeCopyOptions extends PythonProgramOptions {
    /** Path of the copy; never the original. */
    readonly database: string;
    readonly serverName: string;
    /** As `copySqliteDatabase` found it. */
    readonly found: Pick<CheckedDatabase, "schemaVersion" | "pendingBackgroundUpdates">;
}

export interface UpgradedCopy {
    readonly fromSchema: number;
    readonly toSchema: number;
    /** Background updates that were unfinished in the source. */
    readonly finishedUpdates: readonly string[];
    /** The copy after it; absent where nothing was to be done. */
    readonly checked?: CheckedDatabase;
}

/** Background updates of a large database go through all of its events. */
const upgradeSeconds = 24 * 3600;

/**
 * Upgrades the copy's schema and finishes its background updates, where it is older than the target's Synapse or has some:
 * `synapse_port_db` upgrades the schema itself, and then refuses because of the background updates that come with it.
 *
 * @throws MigrationError SM-E0506 when the database is newer than the target's Synapse, SM-E0975 when Synapse does not get it done
 */
export async function upgradeSqliteCopy(options: UpgradeCopyOptions): Promise<UpgradedCopy> {
    const { database, serverName, found, python, signal } = options;
    const installed = await installedSynapse(python);
    if (found.schemaVersion > installed.schema)
        throw new MigrationError("SM-E0506", {
            where: database,
            found: `schema ${found.schemaVersion}; Synapse ${installed.version} of the target writes schema ${installed.schema}`,
            expected: "a Synapse that knows every table and column of the source",
        });
    const unchanged = { fromSchema: found.schemaVersion, toSchema: installed.schema };
    if (found.schemaVersion === installed.schema && found.pendingBackgroundUpdates.length === 0)
        return { ...unchanged, finishedUpdates: [] };
    options.onProgress?.(`bringing the copy from schema ${found.schemaVersion} to ${installed.schema}`);
    await withScriptConfig(`${database}.upgrade.yaml`, serverName, { sqlite: database }, async (config) => {
        const args = ["-m", "synapse._scripts.update_synapse_database", "--database-config", config];
        try {
            await runProgram(python, ["-I", "-B", ...args, "--run-background-updates"], {
                workingDirectory: "/",
                timeoutSeconds: upgradeSeconds,
                ...(signal === undefined ? {} : { signal }),
            });
        } catch (error) {
            signal?.throwIfAborted();
            throw failed(database, error instanceof MigrationError ? error.detail.found : String(error), error);
        }
    });
    const checked = await checkDatabase(database, 0, database, options);
    if (checked.schemaVersion !== installed.schema || checked.pendingBackgroundUpdates.length > 0)
        throw failed(
            database,
            `the script ended without an error, at schema ${checked.schemaVersion}, with these updates unfinished: ${checked.pendingBackgroundUpdates.join(", ")}`,
        );
    return { ...unchanged, finishedUpdates: found.pendingBackgroundUpdates, checked };
}

function failed(where: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0975", { where, found, changed: "only the copy in the run directory", cause });
}
