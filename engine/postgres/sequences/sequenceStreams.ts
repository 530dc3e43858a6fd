/**
 * What Synapse's sequences number: data, read out of Synapse's `MultiWriterIdGenerator` and `build_sequence_generator` calls
 * (synapse/storage/databases), for schema versions 83 to 94. Names that a database does not have are passed over; sequences that
 * are owned by a column are found in the catalogue instead.
 */

export interface SynapseSequence {
    readonly sequence: string;
    /** `stream_positions.stream_name`, for sequences behind a stream. */
    readonly stream?: string;
    /** `down`: ids are the negated numbers, as those of backfilled events. */
    readonly direction: "up" | "down";
    /** Columns that hold its numbers. */
    readonly columns: readonly SynapseColumn[];
    /** Whether Synapse compares them when it starts, and refuses or repairs; else nothing breaks when it is behind. */
    readonly breaks: boolean;
}

export interface SynapseColumn {
    readonly table: string;
    readonly column: string;
    /** The number inside of a text: its first group. */
    readonly pattern?: string;
}

/** `table.column ...` to columns. */
const columns = (...names: readonly `${string}.${string}`[]): SynapseColumn[] =>
    names.map((name) => {
        const [table = "", column = ""] = name.split(".");
        return { table, column };
    });

const stream = (sequence: string, name: string, ...uses: readonly `${string}.${string}`[]): SynapseSequence => ({
    sequence,
    stream: name,
    direction: "up",
    columns: columns(...uses),
    breaks: true,
});

const counter = (sequence: string, breaks: boolean, ...uses: readonly SynapseColumn[]): SynapseSequence => ({
    sequence,
    direction: "up",
    columns: uses,
    breaks,
});

export const synapseSequences: readonly SynapseSequence[] = [
    stream(
        "events_stream_seq",
        "events",
        "events.stream_ordering",
        "current_state_delta_stream.stream_id",
        "ex_outlier_stream.event_stream_ordering",
    ),
    {
        sequence: "events_backfill_stream_seq",
        stream: "backfill",
        direction: "down",
        columns: columns("events.stream_ordering", "ex_outlier_stream.event_stream_ordering"),
        breaks: true,
    },
    stream("cache_invalidation_stream_seq", "caches", "cache_invalidation_stream_by_instance.stream_id"),
    stream(
        "account_data_sequence",
        "account_data",
        "room_account_data.stream_id",
        "room_tags_revisions.stream_id",
        "account_data.stream_id",
    ),
    stream("device_inbox_sequence", "to_device", "device_inbox.stream_id", "device_federation_outbox.stream_id"),
    stream("presence_stream_sequence", "presence_stream", "presence_stream.stream_id"),
    stream("receipts_sequence", "receipts", "receipts_linearized.stream_id"),
    stream(
        "un_partial_stated_event_stream_sequence",
        "un_partial_stated_event_stream",
        "un_partial_stated_event_stream.stream_id",
    ),
    stream(
        "un_partial_stated_room_stream_sequence",
        "un_partial_stated_room_stream",
        "un_partial_stated_room_stream.stream_id",
    ),
    stream(
        "device_lists_sequence",
        "device_lists_stream",
        "device_lists_stream.stream_id",
        "user_signature_stream.stream_id",
        "device_lists_outbound_pokes.stream_id",
        "device_lists_changes_in_room.stream_id",
        "device_lists_remote_pending.stream_id",
        "device_lists_changes_converted_stream_position.stream_id",
    ),
    stream("e2e_cross_signing_keys_sequence", "e2e_cross_signing_keys", "e2e_cross_signing_keys.stream_id"),
    stream("push_rules_stream_sequence", "push_rules_stream", "push_rules_stream.stream_id"),
    stream("pushers_sequence", "pushers", "pushers.id", "deleted_pushers.stream_id"),
    stream("thread_subscriptions_sequence", "thread_subscriptions", "thread_subscriptions.stream_id"),
    stream("sticky_events_sequence", "sticky_events", "sticky_events.stream_id"),
    stream("quarantined_media_id_seq", "quarantined_media", "quarantined_media_changes.stream_id"),
    stream("profile_updates_sequence", "profile_updates", "profile_updates.stream_id"),
    counter("state_group_id_seq", true, { table: "state_groups", column: "id" }),
    counter("event_auth_chain_id", true, { table: "event_auth_chains", column: "chain_id" }),
    counter("application_services_txn_id_seq", true, { table: "application_services_txns", column: "txn_id" }),
    // Numeric localparts are those of guests; a person may have been given one by an administrator, so Synapse checks nothing.
    counter("user_id_seq", false, { table: "users", column: "name", pattern: "^@([0-9]{1,18}):" }),
];
