/** The row in a target database that says which run made it and how far that run got. */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { query, type Client } from "../connection.ts";
import { markerTable, withMarkerTable, withNewMarkerTable } from "./markerTable.ts";

export { markerSchema } from "./markerTable.ts";

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

const markerColumns = `run, server_name AS "serverName", state, created_at::text AS "createdAt", updated_at::text AS "updatedAt"`;

/**
 * The marker of the database one is connected to; undefined when it has none. In no transaction.
 *
 * @throws MigrationError SM-E0730 when its table would run somebody's code
 */
export async function readMarker(client: Client): Promise<Marker | undefined> {
    const rows = await withMarkerTable(client, "read", () =>
        query(client, markerShape, `SELECT ${markerColumns} FROM ONLY ${markerTable}`),
    );
    return rows?.[0];
}

/**
 * Makes the marker of a database that has none. In no transaction.
 *
 * @param client  of the role that looks after databases, and not of the database's owner: what the owner loads must not be able to change it
 * @throws MigrationError SM-E0730 when something else has its name
 */
export async function createMarker(client: Client, run: string, serverName: string, state: MarkerState): Promise<void> {
    await withNewMarkerTable(client, async () => {
        // Every column is given: the default of a table that was there may be a call of somebody's function.
        await client.query(
            `INSERT INTO ${markerTable} AS marker (only_row, run, server_name, state, created_at, updated_at)
            VALUES (true, $1, $2, $3, now(), now())
            ON CONFLICT (only_row) DO UPDATE SET run = $1, server_name = $2, state = $3, updated_at = now()
            WHERE marker.state = 'staged'`,
            [run, serverName, state],
        );
    });
}

/**
 * Moves this run's marker on, and on disk: the commit waits for the write-ahead log of all that was written before it.
 *
 * @param client  of the role that looks after databases; in no transaction
 * @param from  states that the marker may be in; the new one is always allowed, so that the move can be repeated
 * @throws MigrationError SM-E0708 when the marker is another run's, or in another state; SM-E0730 when its table would run somebody's code
 */
export async function advanceMarker(
    client: Client,
    run: string,
    from: readonly MarkerState[],
    to: MarkerState,
): Promise<Marker> {
    const marker = requireMarker(await readMarker(client), run, [...from, to], `database ${client.database ?? ""}`);
    await client.query("SET synchronous_commit = on");
    const moved = await withMarkerTable(client, "write", () =>
        query(
            client,
            markerShape,
            `UPDATE ONLY ${markerTable} SET state = $1, updated_at = now() WHERE run = $2 AND state = $3 RETURNING ${markerColumns}`,
            [to, run, marker.state],
        ),
    );
    return requireMarker(moved?.[0], run, [to], `database ${client.database ?? ""}`);
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
