/** Runs Synapse's own `synapse_port_db` from a copy of its SQLite database into an empty PostgreSQL database. */
import { z } from "zod";
import { describeAddress, query, withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { markerSchema } from "../postgres/databases/marker.ts";
import { MigrationError } from "../run/errors.ts";
import { askPythonProgram, type PythonProgramOptions } from "./pythonProgram.ts";
import { withScriptConfig } from "./synapseScriptConfig.ts";

export interface PortSqliteOptions extends PythonProgramOptions {
    /** Path of the copy, up to date: `upgradeSqliteCopy`. The script opens it for writing. */
    readonly database: string;
    readonly serverName: string;
    /** An empty database, as the role that owns it and that Synapse will use. */
    readonly target: DatabaseAddress;
    /** Rows that are read and inserted at a time; the script's own 1000 when absent. */
    readonly batchRows?: number;
}

const answer = z.strictObject({
    error: z.string().nullable(),
    dropped: z.array(z.strictObject({ table: z.string(), column: z.string(), rows: z.number() })),
});

export interface PortResult {
    readonly seconds: number;
    /** Rows that the script said it leaves out because a text of theirs holds a NUL, which PostgreSQL cannot store. */
    readonly dropped: readonly { readonly table: string; readonly column: string; readonly rows: number }[];
}

/** The script moves about 80 MB a minute: 42 GB took 520 minutes (matrix-org/synapse#16040). */
const portSeconds = 72 * 3600;

/**
 * Ports all rows. The end of the script is only the end of its work: `repairPorted` and `comparePorted` belong after it.
 *
 * The script can go on where an earlier attempt of its own stopped, and sometimes doubles rows when it does. It is never asked to: after a
 * failure the database is thrown away.
 *
 * @throws MigrationError SM-E0804 when the database is not empty, SM-E0976 with the script's own words when it does not come to its end
 */
export async function portSqliteDatabase(options: PortSqliteOptions): Promise<PortResult> {
    const { database, serverName, target, batchRows } = options;
    await refuseOccupied(target, options.signal);
    const started = performance.now();
    const { error, dropped } = await withScriptConfig(
        `${database}.port.yaml`,
        serverName,
        { postgres: target },
        async (config) =>
            askPythonProgram(
                {
                    program: "port_database.py",
                    args: [
                        ...["--sqlite-database", database, "--postgres-config", config],
                        ...(batchRows === undefined ? [] : ["--batch-size", String(batchRows)]),
                    ],
                    timeoutSeconds: portSeconds,
                },
                answer,
                options,
            ),
    );
    if (error !== null)
        throw new MigrationError("SM-E0976", {
            where: `${database} to ${describeAddress(target)}`,
            found: error,
            changed: `${target.name} holds a part of the rows; the source and what is in use are untouched`,
        });
    return { seconds: (performance.now() - started) / 1000, dropped };
}

async function refuseOccupied(target: DatabaseAddress, signal: AbortSignal | undefined): Promise<void> {
    const session = { step: "port", readOnly: true, ...(signal === undefined ? {} : { signal }) };
    const found = await withClient(target, session, (client) =>
        query(
            client,
            z.object({ name: z.string() }),
            `SELECT n.nspname || '.' || c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname NOT LIKE 'pg\\_%' AND n.nspname NOT IN ('information_schema', '${markerSchema}')
            ORDER BY 1 LIMIT 5`,
        ),
    );
    if (found.length > 0)
        throw new MigrationError("SM-E0804", {
            where: describeAddress(target),
            found: `it holds ${found.map(({ name }) => name).join(", ")}`,
            expected: "an empty database",
        });
}
