/** The row in a target database that says which run made it and how far that run got. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { query, type Client } from "../connection.ts";

/** Our own schema; left out wherever databases are compared. */
export const markerSchema = "synapse_migration";

/** How far a database got, in order. */
const markerStates = ["staged", "restoring", "restored", "verified", "swapped", "committed"] as const;
export type MarkerState = (typeof markerStates)[number];

const markerShape = z.object({
    run: z.string(),
    serverName: z.string(),
    state: z.enum(markerStates),
    createdAt: z.string(),
    updatedAt: z.string(),
});
export type Marker = z.infer<typeof markerShape>;

/** The marker of the database one is connected to; undefined when it has none. */
export async function readMarker(client: Client): Promise<Marker | undefined> {
    const [found] = await query(
        client,
        z.object({ present: z.boolean() }),
        `SELECT to_regclass('${markerSchema}.marker') IS NOT NULL AS present`,
    );
    if (found?.present !== true) return undefined;
    const rows = await query(
        client,
        markerShape,
        `SELECT run, server_name AS "serverName", state, created_at::text AS "createdAt", updated_at::text AS "updatedAt"
        FROM ${markerSchema}.marker`,
    );
    return rows[0];
}

/** Makes the marker of a database that has none. */
export async function createMarker(client: Client, run: string, serverName: string, state: MarkerState): Promise<void> {
    await client.query("BEGIN");
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${markerSchema}`);
    await client.query(
        `CREATE TABLE IF NOT EXISTS ${markerSchema}.marker (
            only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
            run text NOT NULL,
            server_name text NOT NULL,
            state text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            updated_at timestamptz NOT NULL DEFAULT now())`,
    );
    await client.query(
        `INSERT INTO ${markerSchema}.marker (run, server_name, state) VALUES ($1, $2, $3)
        ON CONFLICT (only_row) DO UPDATE SET run = $1, server_name = $2, state = $3, updated_at = now()
        WHERE marker.state = 'staged'`,
        [run, serverName, state],
    );
    await client.query("COMMIT");
}

/**
 * Moves this run's marker on, and on disk: the commit waits for the write-ahead log of all that was written before it.
 *
 * @param from  states that the marker may be in; the new one is always allowed, so that the move can be repeated
 * @throws MigrationError SM-E0708 when the marker is another run's, or in another state
 */
export async function advanceMarker(
    client: Client,
    run: string,
    from: readonly MarkerState[],
    to: MarkerState,
): Promise<Marker> {
    const marker = requireMarker(await readMarker(client), run, [...from, to], `database ${client.database ?? ""}`);
    await client.query("SET synchronous_commit = on");
    const [moved] = await query(
        client,
        markerShape,
        `UPDATE ${markerSchema}.marker SET state = $1, updated_at = now() WHERE run = $2 AND state = $3
        RETURNING run, server_name AS "serverName", state, created_at::text AS "createdAt", updated_at::text AS "updatedAt"`,
        [to, run, marker.state],
    );
    return requireMarker(moved, run, [to], `database ${client.database ?? ""}`);
}

/** @throws MigrationError SM-E0708 unless the marker is this run's and in one of the states */
export function requireMarker(
    marker: Marker | undefined,
    run: string,
    states: readonly MarkerState[],
    where: string,
): Marker {
    if (marker?.run === run && states.includes(marker.state)) return marker;
    throw new MigrationError("SM-E0708", {
        where,
        found: describeMarker(marker),
        expected: `the marker of run ${run}, state ${states.join(" or ")}`,
    });
}

/** @throws MigrationError SM-E0707 when the database is the one that serves since a commit, by whichever run */
export function refuseCommitted(marker: Marker | undefined, where: string): void {
    if (marker?.state !== "committed") return;
    throw new MigrationError("SM-E0707", {
        where,
        found: `${describeMarker(marker)}, since ${marker.updatedAt}`,
        expected: "a database that no run has committed",
    });
}

export function describeMarker(marker: Marker | undefined): string {
    return marker === undefined ? "no marker" : `the marker of run ${marker.run}, state ${marker.state}`;
}
