/** The database that a run restores into: made anew, and dropped only while it is this run's. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { oneTimeKeysTable } from "../compare/compareDatabase.ts";
import {
    queryOne,
    quotedName,
    withClient,
    type Client,
    type ConnectionOptions,
    type DatabaseAddress,
} from "../connection.ts";
import { dropLoader } from "./loader.ts";
import { describeObjects, inspectDatabase } from "./databaseState.ts";
import { describeMarker, refuseCommitted } from "./marker.ts";
import { createDatabaseStatement } from "../server/serverFacts.ts";

/**
 * Makes the incoming database, UTF8 and C from `template0`. What a killed attempt of this run left under its name is dropped first.
 *
 * @param statement  makes another kind of database with this name and owner
 * @throws MigrationError SM-E0804 naming what is in a database that nobody marked, SM-E0708 when another run marked it
 */
export async function makeIncoming(
    maintenance: DatabaseAddress,
    name: string,
    owner: string,
    run: string,
    options: ConnectionOptions,
    statement?: string,
): Promise<void> {
    const found = await inspectDatabase(maintenance, name, options);
    const where = `database ${name}`;
    refuseCommitted(found.marker, where);
    if (found.marker !== undefined && found.marker.run !== run) {
        throw new MigrationError("SM-E0708", {
            where,
            found: `${describeMarker(found.marker)}, ${describeObjects(found)}`,
            expected: `the marker of run ${run}, or no such database`,
        });
    }
    if (found.marker === undefined && found.state === "occupied") {
        throw new MigrationError("SM-E0804", {
            where,
            found: describeObjects(found),
            expected: "no database with this name, or one that this run has marked",
        });
    }
    await withClient(maintenance, { ...options, statementSeconds: 600 }, async (client) => {
        // Ends the sessions of an attempt whose process was killed while its pg_restore went on.
        if (found.state !== "absent") await client.query(`DROP DATABASE ${escapeIdentifier(name)} WITH (FORCE)`);
        const { version } = await queryOne(
            client,
            z.object({ version: z.number() }),
            "SELECT current_setting('server_version_num')::int AS version",
        );
        await client.query(statement ?? createDatabaseStatement(name, owner, version));
    });
}

/**
 * Drops the incoming database if this run marked it, or if it is empty and nobody did. Everything else stays.
 *
 * @returns what was done, for people
 */
export async function dropIncoming(
    maintenance: DatabaseAddress,
    name: string,
    run: string,
    options: ConnectionOptions,
): Promise<string> {
    const found = await inspectDatabase(maintenance, name, options);
    if (found.state === "absent") {
        await withClient(maintenance, options, (client) => dropLoader(client, name));
        return `there is no database ${name}: nothing was dropped`;
    }
    const ours =
        found.marker === undefined
            ? found.state === "empty"
            : found.marker.run === run && found.marker.state !== "committed";
    if (!ours) return `database ${name} has ${describeMarker(found.marker)}: it stays`;
    await withClient(maintenance, { ...options, statementSeconds: 600 }, async (client) => {
        await client.query(`DROP DATABASE ${escapeIdentifier(name)} WITH (FORCE)`);
        await dropLoader(client, name);
    });
    return `database ${name} was dropped`;
}

/** Keys that the source has handed out since its snapshot would be handed out again, and messages could not be read. */
export async function emptyOneTimeKeys(client: Client): Promise<void> {
    await client.query(`TRUNCATE ${quotedName(oneTimeKeysTable.schema, oneTimeKeysTable.name)}`);
}
