/** Positions of streams and sequences, so that a Synapse would start on the database. To be run after all other statements. */
import { synapseSequences } from "../../../engine/postgres/sequences/sequenceStreams.ts";
import type { Shape } from "../shape.ts";

/** Tables of one row that say how far something has read the events. */
const eventPositions = {
    appservice_stream_position: "stream_ordering",
    delayed_events_stream_pos: "stream_id",
    event_push_summary_last_receipt_stream_id: "stream_id",
    event_push_summary_stream_ordering: "stream_ordering",
    room_forgetter_stream_pos: "stream_id",
    stats_incremental_position: "stream_id",
    user_directory_stream_pos: "stream_id",
} as const;

/** The position of a sequence is the greatest number that any of its columns has, and 1 where there is none. */
export function positionStatements({ events }: Shape): string[] {
    const sequences = synapseSequences.flatMap(({ sequence, stream, columns, direction }) => {
        const sign = direction === "up" ? "" : "-";
        const greatest = columns.flatMap(({ table, column, pattern }) =>
            pattern === undefined ? [`(SELECT max(${sign}${column}) FROM ${table})`] : [],
        );
        const position = `setval('${sequence}', greatest(1, ${["NULL::bigint", ...greatest].join(", ")}))`;
        return stream === undefined
            ? [`SELECT ${position}`]
            : [
                  `INSERT INTO stream_positions (stream_name, instance_name, stream_id) SELECT '${stream}', 'master', ${sign}${position}`,
              ];
    });
    return [
        ...sequences,
        ...Object.entries(eventPositions).map(
            ([table, column]) => `INSERT INTO ${table} (${column}) VALUES (${events})`,
        ),
        `INSERT INTO device_lists_changes_in_room_max_pruned_stream_id (stream_id) VALUES (0)`,
        `INSERT INTO device_lists_changes_converted_stream_position (stream_id, room_id, instance_name)
        SELECT max(stream_id), '', 'master' FROM device_lists_changes_in_room`,
        `INSERT INTO federation_stream_position (type, stream_id, instance_name) VALUES ('federation', -1, 'master'), ('events', ${events}, 'master')`,
    ];
}
