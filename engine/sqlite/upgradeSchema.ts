/** Brings a copy of a Synapse's SQLite database to the schema of the target's Synapse, with Synapse's own script. */
import { z } from "zod";
import { MigrationError } from "../run/errors.ts";
import { installedSynapse } from "../synapse/targetVersion.ts";
import { checkDatabase, type CheckedDatabase } from "./privateCopy.ts";
import { askPythonProgram, type PythonProgramOptions } from "./pythonProgram.ts";
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
    const { database, serverName, found, python } = options;
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
    const { error } = await withScriptConfig(
        `${database}.upgrade.yaml`,
        serverName,
        { sqlite: database },
        async (config) =>
            askPythonProgram(
                {
                    program: "upgrade_database.py",
                    args: ["--database-config", config, "--run-background-updates"],
                    timeoutSeconds: upgradeSeconds,
                },
                z.strictObject({ error: z.string().nullable() }),
                options,
            ),
    );
    if (error !== null) throw failed(database, error);
    const checked = await checkDatabase(database, 0, database, options);
    if (checked.schemaVersion !== installed.schema || checked.pendingBackgroundUpdates.length > 0)
        throw failed(
            database,
            `the script ended without an error, at schema ${checked.schemaVersion}, with these updates unfinished: ${checked.pendingBackgroundUpdates.join(", ")}`,
        );
    return { ...unchanged, finishedUpdates: found.pendingBackgroundUpdates, checked };
}

function failed(where: string, found: string): MigrationError {
    return new MigrationError("SM-E0975", { where, found, changed: "only the copy in the run directory" });
}
