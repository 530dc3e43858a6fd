/** Puts right what `synapse_port_db` leaves behind and Synapse does not recover from. */
import { z } from "zod";
import { query, withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { repairSequences, type SequenceRepair } from "../postgres/sequences/repairSequences.ts";

export interface PortRepairs {
    readonly sequences: readonly SequenceRepair[];
    /** Background updates that Synapse runs after its next start: they fill what the script leaves empty. */
    readonly queued: readonly string[];
}

/** As the admin API queues them for its job `regenerate_directory` (synapse/rest/admin/background_updates.py). */
const directoryUpdates = [
    "populate_user_directory_createtables",
    "populate_user_directory_process_rooms",
    "populate_user_directory_process_users",
    "populate_user_directory_cleanup",
] as const;

const statementSeconds = 3600;

/**
 * Repairs sequences and the user directory, removes the script's own table, and has PostgreSQL gather statistics, all as the owner.
 *
 * - A sequence behind its tables or `stream_positions` keeps Synapse from starting: the script copies positions as they are and sets some
 *   sequences by their tables, others not at all.
 * - It leaves sequences as not called, for which see {@link repairSequences}.
 * - The script leaves the user directory empty and its position unknown, and with nothing queued to fill it: nobody would ever be found.
 *
 * Safe to repeat.
 */
export async function repairPorted(target: DatabaseAddress, signal?: AbortSignal): Promise<PortRepairs> {
    const session = { step: "repair", statementSeconds, ...(signal === undefined ? {} : { signal }) };
    return withClient(target, session, async (client) => {
        await client.query("BEGIN");
        const sequences = await repairSequences(client, ["behind", "uncalled"]);
        const queued = await queueDirectory(client);
        await client.query("DROP TABLE IF EXISTS public.port_from_sqlite3");
        await client.query("COMMIT");
        await client.query("ANALYZE");
        return { sequences, queued };
    });
}

/** Queues the directory's updates where the directory has never been filled. */
async function queueDirectory(client: Parameters<typeof query>[0]): Promise<string[]> {
    const unfilled = await query(
        client,
        z.object({ found: z.number() }),
        `SELECT 1 AS found FROM public.user_directory_stream_pos WHERE stream_id IS NULL AND NOT EXISTS (SELECT FROM public.user_directory)`,
    );
    if (unfilled.length === 0) return [];
    const queued: string[] = [];
    for (const [index, update] of directoryUpdates.entries()) {
        const added = await query(
            client,
            z.object({ name: z.string() }),
            `INSERT INTO public.background_updates (update_name, progress_json, depends_on) VALUES ($1, '{}', $2)
            ON CONFLICT DO NOTHING RETURNING update_name AS name`,
            [update, directoryUpdates[index - 1] ?? ""],
        );
        queued.push(...added.map(({ name }) => name));
    }
    return queued;
}
