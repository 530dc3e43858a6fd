/**
 * What refers to what in Synapse's tables without a foreign key: data, read out of synapse/storage/databases for schema versions 83 to
 * 94. Tables and columns that a database does not have are passed over.
 */

export interface UnwrittenReference {
    readonly table: string;
    readonly columns: readonly string[];
    readonly referred: string;
    readonly referredColumns: readonly string[];
    /** SQL over the table's columns, as `p`: only such rows have to have what they refer to. */
    readonly condition?: string;
}

/** `table.column` to the `table.column` it refers to. */
const from = (
    place: `${string}.${string}`,
    referred: `${string}.${string}`,
    condition?: string,
): UnwrittenReference => {
    const [table = "", ...columns] = place.split(/[.,]/);
    const [to = "", ...referredColumns] = referred.split(/[.,]/);
    return { table, columns, referred: to, referredColumns, ...(condition === undefined ? {} : { condition }) };
};

/** Of events: their parts are written and read together (`PersistEventsStore`, `EventsWorkerStore`). */
const events: readonly UnwrittenReference[] = [
    from("events.event_id", "event_json.event_id"),
    from("events.event_id", "event_to_state_groups.event_id", "NOT p.outlier"),
    from("events.room_id", "rooms.room_id"),
    ...(
        [
            ...["event_json", "event_to_state_groups", "event_auth", "event_relations", "event_search", "redactions"],
            ...["state_events", "room_memberships", "current_state_events", "local_current_membership", "rejections"],
            ...["event_auth_chains", "event_push_actions", "event_labels", "stream_ordering_to_exterm"],
        ] as const
    ).map((table) => from(`${table}.event_id`, "events.event_id")),
    from("event_backward_extremities.room_id", "rooms.room_id"),
];

const state: readonly UnwrittenReference[] = [
    from("event_to_state_groups.state_group", "state_groups.id"),
    from("state_groups_state.state_group", "state_groups.id"),
    from("state_group_edges.state_group", "state_groups.id"),
    from("state_group_edges.prev_state_group", "state_groups.id"),
    from("current_state_events.room_id,event_id", "state_events.room_id,event_id"),
];

/** Of accounts: Synapse answers a request with an internal error when its access token belongs to no account, or to no device. */
const accounts: readonly UnwrittenReference[] = [
    ...(
        [
            ...[
                "access_tokens.user_id",
                "refresh_tokens.user_id",
                "user_threepids.user_id",
                "user_external_ids.user_id",
            ],
            ...["pushers.user_name", "push_rules.user_name", "push_rules_enable.user_name", "account_data.user_id"],
            ...["room_account_data.user_id", "room_tags.user_id", "user_filters.full_user_id", "e2e_room_keys.user_id"],
            ...["e2e_room_keys_versions.user_id", "erased_users.user_id", "account_validity.user_id"],
            ...["dehydrated_devices.user_id", "ratelimit_override.user_id", "profiles.full_user_id"],
        ] as const
    ).map((place) => from(place, "users.name")),
    from("access_tokens.user_id,device_id", "devices.user_id,device_id"),
    from("refresh_tokens.user_id,device_id", "devices.user_id,device_id"),
    from("e2e_device_keys_json.user_id,device_id", "devices.user_id,device_id"),
    from("e2e_one_time_keys_json.user_id,device_id", "devices.user_id,device_id"),
    from("e2e_fallback_keys_json.user_id,device_id", "devices.user_id,device_id"),
    from("e2e_room_keys.user_id", "e2e_room_keys_versions.user_id"),
];

const media: readonly UnwrittenReference[] = [
    from("local_media_repository_thumbnails.media_id", "local_media_repository.media_id"),
    from("remote_media_cache_thumbnails.media_origin,media_id", "remote_media_cache.media_origin,media_id"),
];

const rooms: readonly UnwrittenReference[] = [
    from("room_aliases.room_id", "rooms.room_id"),
    from("room_alias_servers.room_alias", "room_aliases.room_alias"),
    from("room_depth.room_id", "rooms.room_id"),
];

export const unwrittenReferences: readonly UnwrittenReference[] = [
    ...events,
    ...state,
    ...accounts,
    ...media,
    ...rooms,
];
