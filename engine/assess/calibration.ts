/** Finds out how fast the target's server is: rows and an index in a temporary table that is never committed. */
import { z } from "zod";
import { queryOne, withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { copyIn } from "../postgres/copyIn.ts";
import type { Speed } from "./sizeModel.ts";

/** As rows of `state_groups_state`, of which the largest table and the largest index of most homeservers are made. */
const rowsPerChunk = 1000;
const chunks = 300;
/** A target that needs longer is slow in a way that no model foresees. */
const statementSeconds = 30;

/**
 * Takes about a second. Leaves nothing behind: the table is the session's own, and its transaction is rolled back.
 *
 * @param address  any database of the server, as a role that may make temporary tables in it
 * @throws MigrationError SM-E1102, SM-E1004, SM-E0515; the server's own error when it takes too long
 */
export async function measureSpeed(address: DatabaseAddress, step: string): Promise<Speed> {
    return withClient(address, { step, statementSeconds }, async (client) => {
        await client.query("BEGIN");
        try {
            await client.query(
                `CREATE TEMPORARY TABLE calibration (state_group bigint NOT NULL, room_id text NOT NULL, type text NOT NULL,
                state_key text NOT NULL, event_id text NOT NULL) ON COMMIT DROP`,
            );
            let bytes = 0;
            const rows = function* (): Generator<Buffer> {
                for (let chunk = 0; chunk < chunks; chunk += 1) {
                    const lines = Buffer.from(chunkOfRows(chunk));
                    bytes += lines.length;
                    yield lines;
                }
            };
            const copying = await timed(() => copyIn(client, "COPY calibration FROM STDIN", rows()));
            const index = await timed(() =>
                client.query("CREATE INDEX calibration_index ON calibration (state_group, type, state_key)"),
            );
            const { size } = await queryOne(
                client,
                z.object({ size: z.coerce.number() }),
                "SELECT pg_relation_size('calibration_index')::text AS size",
            );
            return { copyIn: bytes / copying, index: size / index };
        } finally {
            await client.query("ROLLBACK");
        }
    });
}

function chunkOfRows(chunk: number): string {
    let lines = "";
    for (let row = chunk * rowsPerChunk; row < (chunk + 1) * rowsPerChunk; row += 1) {
        // A multiplier that shares no factor with the modulus: keys come in no order, as in a room's state.
        const member = (row * 7919) % 104729;
        lines += `${Math.floor(row / 32)}\t!calibration:example.org\tm.room.member\t@member${member}:example.org\t$${row.toString(36).padStart(43, "a")}\n`;
    }
    return lines;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
    const began = performance.now();
    await work();
    return (performance.now() - began) / 1000;
}
