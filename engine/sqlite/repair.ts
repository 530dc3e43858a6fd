/** Puts right what `synapse_port_db` leaves behind and Synapse does not recover from. */
import { z } from "zod";
import { query, quotedName, withClient, type DatabaseAddress } from "../postgres/connection.ts";
import { readSequences, type Sequence } from "../postgres/sequences/sequences.ts";
import { synapseSequences } from "../postgres/sequences/sequenceStreams.ts";
import { sequenceFaults } from "../postgres/sequences/synapseSequences.ts";

interface SequenceRepair {
    /** With its schema. */
    readonly sequence: string;
    /** The sequence as it was left: decimal, with `(not called)` where the number itself was to be handed out next. */
    readonly from: string;
    /** What it was set to, called. */
    readonly to: string;
    readonly why: string;
}

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
 * - A sequence that is left as not called makes Synapse take the next number for seen (it reads `last_value` alone): whatever gets it, such as
 *   a to-device message with the keys of a conversation, never reaches a client. This is so for streams that were never used, too.
 * - The script leaves the user directory empty and its position unknown, and with nothing queued to fill it: nobody would ever be found.
 *
 * Safe to repeat.
 */
export async function repairPorted(target: DatabaseAddress, signal?: AbortSignal): Promise<PortRepairs> {
    const session = { step: "repair", statementSeconds, ...(signal === undefined ? {} : { signal }) };
    return withClient(target, session, async (client) => {
        await client.query("BEGIN");
        const before = await readSequences(client);
        const whys = new Map<string, string>();
        for (const { sequence, state, evidence, statement } of await sequenceFaults(client)) {
            if (statement === undefined) continue;
            await client.query(statement);
            whys.set(sequence, `${state === "behind" ? "behind what it numbers" : "left as not called"}: ${evidence}`);
        }
        for (const { schema, name, lastValue } of (await readSequences(client)).filter(skipsFirst)) {
            await client.query("SELECT setval($1, $2, true)", [
                quotedName(schema, name),
                String(BigInt(lastValue) - 1n),
            ]);
            whys.set(`${schema}.${name}`, "left as not called: Synapse would take its next number for seen");
        }
        const after = await readSequences(client);
        const queued = await queueDirectory(client);
        await client.query("DROP TABLE IF EXISTS public.port_from_sqlite3");
        await client.query("COMMIT");
        await client.query("ANALYZE");
        return { sequences: changes(before, after, whys), queued };
    });
}

/** Whether a stream's sequence hands out next what Synapse takes for seen; at 1 it has never been touched, as on any fresh server. */
function skipsFirst({ schema, name, lastValue, isCalled }: Sequence): boolean {
    const stream =
        schema === "public" && synapseSequences.some((known) => known.sequence === name && known.stream !== undefined);
    return stream && !isCalled && BigInt(lastValue) > 1n;
}

function changes(
    before: readonly Sequence[],
    after: readonly Sequence[],
    whys: ReadonlyMap<string, string>,
): SequenceRepair[] {
    const nameOf = ({ schema, name }: Sequence): string => `${schema}.${name}`;
    const was = new Map(before.map((sequence) => [nameOf(sequence), sequence]));
    return after.flatMap((sequence) => {
        const why = whys.get(nameOf(sequence));
        const old = was.get(nameOf(sequence));
        if (why === undefined || old === undefined) return [];
        const from = `${old.lastValue}${old.isCalled ? "" : " (not called)"}`;
        return [{ sequence: nameOf(sequence), from, to: sequence.lastValue, why }];
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
