/** Where every stream of a database stands: what moves when anything is written. */
import type { ClientBase } from "pg";
import { z } from "zod";
import { readSystemIdentifier } from "../postgres/server/systemIdentifier.ts";

export const watermarks = z.strictObject({
    /** `pg_control_system().system_identifier` where it may be read, and the database's oid: the same data directory, the same database. */
    database: z.string(),
    /** Last value of each sequence, by qualified name. */
    sequences: z.record(z.string(), z.string()),
    /** Rows inserted, updated and deleted since the statistics were reset, all tables together. */
    rowChanges: z.string(),
});
export type Watermarks = z.infer<typeof watermarks>;

const identity = z.array(z.object({ oid: z.string() })).length(1);
const sequenceRows = z.array(z.object({ name: z.string(), last_value: z.string().nullable() }));
const changeRows = z.array(z.object({ changes: z.string() })).length(1);

/** Reads the watermarks. Only reads. */
export async function readWatermarks(client: ClientBase): Promise<Watermarks> {
    const [database] = identity.parse(
        (await client.query("SELECT oid::text FROM pg_database WHERE datname = current_database()")).rows,
    );
    const system = await readSystemIdentifier(client);
    const sequences = sequenceRows.parse(
        (
            await client.query(
                `SELECT schemaname || '.' || sequencename AS name, last_value::text FROM pg_sequences ORDER BY schemaname, sequencename`,
            )
        ).rows,
    );
    // A backend that has ended has reported its changes; ours reports none, as it only reads.
    const [changes] = changeRows.parse(
        (
            await client.query(
                `SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0)::text AS changes
                 FROM pg_stat_user_tables WHERE schemaname <> 'synapse_migration'`,
            )
        ).rows,
    );
    return {
        database: `${system ?? "unknown"}/${database?.oid ?? ""}`,
        sequences: Object.fromEntries(sequences.map(({ name, last_value }) => [name, last_value ?? "unused"])),
        rowChanges: changes?.changes ?? "",
    };
}

/** What differs between two readings, one line each; empty when the database stood still. */
export function movements(before: Watermarks, after: Watermarks): string[] {
    const lines: string[] = [];
    if (before.database !== after.database) lines.push(`another database: ${before.database}, then ${after.database}`);
    for (const name of new Set([...Object.keys(before.sequences), ...Object.keys(after.sequences)])) {
        const [was, is] = [before.sequences[name] ?? "absent", after.sequences[name] ?? "absent"];
        if (was !== is) lines.push(`sequence ${name}: ${was}, then ${is}`);
    }
    // The counters vanish when PostgreSQL is killed; then the sequences alone speak.
    const wereReset = BigInt(after.rowChanges) < BigInt(before.rowChanges);
    if (!wereReset && before.rowChanges !== after.rowChanges)
        lines.push(`row changes: ${before.rowChanges}, then ${after.rowChanges}`);
    return lines;
}
