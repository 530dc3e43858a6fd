/** The swap of two databases by renaming them, and the way back. */
import { escapeIdentifier } from "pg";
import { z } from "zod";
import { query, withClient, type ConnectionOptions, type DatabaseAddress } from "../connection.ts";
import { describeObjects, inspectDatabase, type DatabaseState } from "./databaseState.ts";
import { MigrationError } from "../../run/errors.ts";
import { advanceMarker, refuseCommitted, requireMarker } from "./marker.ts";
import { refuseSessions } from "../server/sessions.ts";

export interface SwapNames {
    /** The name that Synapse connects to. */
    readonly name: string;
    readonly incoming: string;
    /** Where the database that had the name is put. */
    readonly previous: string;
    /** Of the database that a checked copy was made of: the only one with data that may be put aside. */
    readonly copiedOid?: string;
}

/**
 * Puts the verified incoming database in the place of the one with the name. Both renames are one transaction; safe to repeat, and goes on
 * where another order of renames was cut.
 *
 * @param maintenance  another database of the server, as a role that may rename
 * @returns the name under which the previous database is kept, if there was one
 * @throws MigrationError SM-E0707, SM-E0708, SM-E0709 (sessions), SM-E0804 when the previous database holds data and is not the one that was
 *     copied
 */
export async function swapDatabases(
    maintenance: DatabaseAddress,
    names: SwapNames,
    run: string,
    options: ConnectionOptions,
): Promise<string | undefined> {
    const [final, incoming, previous] = await inspectAll(maintenance, names, options);
    refuseCommitted(final.marker, `database ${names.name}`);
    if (incoming.state !== "absent") {
        requireMarker(incoming.marker, run, ["verified"], `database ${names.incoming}`);
        if (final.state === "occupied" && (final.oid !== names.copiedOid || final.marker !== undefined))
            throw occupied(names, final);
        if (final.state !== "absent" && previous.state !== "absent") throw inTheWay(names.previous);
        await renameAll(maintenance, options, [
            ...(final.state === "absent" ? [] : [[names.name, names.previous] as const]),
            [names.incoming, names.name],
        ]);
    } else {
        requireMarker(final.marker, run, ["verified", "swapped"], `database ${names.name}`);
    }
    await withClient({ ...maintenance, name: names.name }, options, (client) =>
        advanceMarker(client, run, ["verified"], "swapped"),
    );
    return final.state !== "absent" && incoming.state !== "absent"
        ? names.previous
        : previous.state === "absent"
          ? undefined
          : names.previous;
}

/**
 * Takes the swap back: the restored database gets its incoming name again, the previous one its own. Does nothing when the database with
 * the name is not this run's.
 *
 * @param evenCommitted  for targets that may be destroyed whole
 * @returns whether anything was renamed
 */
export async function swapBack(
    maintenance: DatabaseAddress,
    names: SwapNames,
    run: string,
    options: ConnectionOptions,
    evenCommitted: boolean,
): Promise<boolean> {
    const [final, incoming, previous] = await inspectAll(maintenance, names, options);
    const restorable = previous.state !== "absent";
    if (final.marker?.run !== run || final.marker.state === "staged") {
        // Cut between the two renames of the way back, if the name is free.
        if (final.state !== "absent" || !restorable) return false;
        await renameAll(maintenance, options, [[names.previous, names.name]]);
        return true;
    }
    if (!evenCommitted) refuseCommitted(final.marker, `database ${names.name}`);
    if (incoming.state !== "absent") throw inTheWay(names.incoming);
    await renameAll(maintenance, options, [
        [names.name, names.incoming],
        ...(restorable ? [[names.previous, names.name] as const] : []),
    ]);
    await withClient({ ...maintenance, name: names.incoming }, options, (client) =>
        advanceMarker(client, run, ["verified", "swapped", "committed"], "verified"),
    );
    return true;
}

/**
 * Whether the swap may rename both databases. One that nobody needs is renamed and gets its name back; of the one in use it is asked.
 *
 * @throws MigrationError SM-E0515, SM-E1104 with what PostgreSQL said
 */
export async function tryRename(
    maintenance: DatabaseAddress,
    unneeded: string,
    inUse: string,
    options: ConnectionOptions,
): Promise<void> {
    await withClient(maintenance, options, async (client) => {
        await client.query("BEGIN");
        const [from, to] = [unneeded, `${unneeded}_`].map((name) => escapeIdentifier(name));
        await client.query(`ALTER DATABASE ${from ?? ""} RENAME TO ${to ?? ""}`);
        await client.query("ROLLBACK");
        const [foreign] = await query(
            client,
            z.object({ owner: z.string() }),
            "SELECT pg_get_userbyid(datdba)::text AS owner FROM pg_database WHERE datname = $1 AND NOT pg_has_role(datdba, 'USAGE')",
            [inUse],
        );
        if (foreign === undefined) return;
        throw new MigrationError("SM-E0515", {
            where: `database ${inUse} at ${maintenance.host}:${maintenance.port}`,
            found: `role ${maintenance.user} may not rename it: it belongs to ${foreign.owner}`,
            expected: `a role that is a member of ${foreign.owner}`,
            fix: `as a superuser: GRANT ${escapeIdentifier(foreign.owner)} TO ${escapeIdentifier(maintenance.user)}`,
        });
    });
}

async function inspectAll(
    maintenance: DatabaseAddress,
    names: SwapNames,
    options: ConnectionOptions,
): Promise<[DatabaseState, DatabaseState, DatabaseState]> {
    return [
        await inspectDatabase(maintenance, names.name, options),
        await inspectDatabase(maintenance, names.incoming, options),
        await inspectDatabase(maintenance, names.previous, options),
    ];
}

async function renameAll(
    maintenance: DatabaseAddress,
    options: ConnectionOptions,
    renames: readonly (readonly [from: string, to: string])[],
): Promise<void> {
    await withClient(maintenance, options, async (client) => {
        await refuseSessions(
            client,
            renames.map(([from]) => from),
        );
        await client.query("BEGIN");
        for (const [from, to] of renames)
            await client.query(`ALTER DATABASE ${escapeIdentifier(from)} RENAME TO ${escapeIdentifier(to)}`);
        await client.query("COMMIT");
    });
}

function occupied({ name, copiedOid }: SwapNames, state: DatabaseState): MigrationError {
    const copied = copiedOid === undefined ? "" : `the one with oid ${copiedOid}, which was copied, or `;
    return new MigrationError("SM-E0804", {
        where: `database ${name}`,
        found: describeObjects(state),
        expected: `${copied}an empty database, or none`,
    });
}

function inTheWay(name: string): MigrationError {
    return new MigrationError("SM-E0708", {
        where: `database ${name}`,
        found: "a database with the name that this run needs",
        expected: "no database with this name",
        fix: "nobody needs it? Then drop it; else rename it",
    });
}
