/** What rules a target server out for the content of a source database, before anything is made on it. */
import type { TargetDatabase } from "../../../contract/targetDatabase.ts";
import { MigrationError } from "../../run/errors.ts";
import { withClient, type ConnectionOptions, type DatabaseAddress } from "../connection.ts";
import { inspectDatabase } from "../databases/databaseState.ts";
import { refuseUnknownExtensions } from "./extensions.ts";
import type { Manifest } from "../compare/dumpManifest.ts";
import { describeMarker, refuseCommitted } from "../databases/marker.ts";
import { readDatabaseFacts, refuseSameDatabase, refuseStandby, type DatabaseFacts } from "./serverFacts.ts";

/**
 * @param source  the database that is to be put there, and its definitions
 * @param run  id of the run
 * @throws MigrationError SM-E0511 for extensions, SM-E0806 for a standby, SM-E0503 for an older server, SM-E0707 for a committed database,
 *     SM-E0803 when it is the source's own, SM-E0708 when this run has already swapped
 */
export async function refuseUnsuitableTarget(
    maintenance: DatabaseAddress,
    database: TargetDatabase,
    source: Pick<Manifest, "database" | "definitions">,
    run: string,
    options: ConnectionOptions,
): Promise<void> {
    const where = `database ${database.name} at ${database.host}:${database.port}`;
    const facts = await withClient(maintenance, options, async (client) => {
        await refuseUnknownExtensions(client, source.definitions, where);
        return readDatabaseFacts(client);
    });
    refuseStandby(facts, where);
    refuseOlderServer(facts, source.database, where);
    const final = await inspectDatabase(maintenance, database.name, options);
    refuseCommitted(final.marker, where);
    if (final.oid !== undefined)
        refuseSameDatabase(source.database, { systemIdentifier: facts.systemIdentifier, oid: final.oid }, where);
    if (final.marker?.run === run && final.marker.state !== "staged") {
        throw new MigrationError("SM-E0708", {
            where,
            found: `${describeMarker(final.marker)}: what this run has restored`,
            expected: "a run that has not restored yet",
            fix: "undo the swap first by declaring phase `stage`, or give the run a new id (config `run`)",
        });
    }
}

/** Major versions: a minor one changes nothing that a database has. */
function refuseOlderServer(facts: DatabaseFacts, database: Manifest["database"], where: string): void {
    if (Math.floor(facts.versionNumber / 10000) >= Math.floor(database.serverVersionNumber / 10000)) return;
    throw new MigrationError("SM-E0503", {
        where,
        found: `PostgreSQL ${facts.version}`,
        expected: `PostgreSQL ${database.serverVersion} or newer`,
    });
}
