/** State of rooms: the largest table of all, and what is derived from memberships. */
import { numbers } from "../expressions.ts";
import { stateRowsPerGroup, type Shape } from "../shape.ts";

export function stateStatements({ events, rooms, users, groupsPerRoom }: Shape): string[] {
    const groups = rooms * groupsPerRoom;
    const eventOf = `pg_temp.pick(n * ${stateRowsPerGroup} + i, 41, ${events}) + 1`;
    return [
        `INSERT INTO state_groups (id, room_id, event_id)
        SELECT n, pg_temp.room_id((n - 1) % ${rooms}), pg_temp.event_id(pg_temp.pick(n, 42, ${events}) + 1) FROM ${numbers(groups)}`,
        `INSERT INTO state_group_edges (state_group, prev_state_group) SELECT n, n - ${rooms} FROM ${numbers(Math.max(0, groups - rooms), rooms + 1)}`,
        `INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
        SELECT n, pg_temp.room_id((n - 1) % ${rooms}),
            CASE WHEN i > 3 THEN 'm.room.member' ELSE (ARRAY['m.room.create', 'm.room.power_levels', 'm.room.join_rules', 'm.room.encryption'])[i + 1] END,
            CASE WHEN i > 3 THEN pg_temp.user_id((n * 7 + i) % ${users}) ELSE '' END, pg_temp.event_id(${eventOf})
        FROM ${numbers(groups)}, generate_series(0, ${stateRowsPerGroup - 1}) i`,
        `INSERT INTO event_to_state_groups (event_id, state_group)
        SELECT event_id, (stream_ordering - 1) * ${groupsPerRoom} / ${events} * ${rooms} + stream_ordering % ${rooms} + 1 FROM events`,
        `INSERT INTO state_events (event_id, room_id, type, state_key)
        SELECT event_id, room_id, type, state_key FROM events WHERE state_key IS NOT NULL`,
        `INSERT INTO room_memberships (event_id, user_id, sender, room_id, membership, display_name, event_stream_ordering, participant)
        SELECT event_id, state_key, sender, room_id, 'join', pg_temp.name_of(pg_temp.sender_of(stream_ordering)), stream_ordering, stream_ordering % 2 = 0
        FROM events WHERE type = 'm.room.member'`,
        `INSERT INTO current_state_events (event_id, room_id, type, state_key, membership, event_stream_ordering)
        SELECT DISTINCT ON (room_id, state_key) event_id, room_id, type, state_key, 'join', stream_ordering
        FROM events WHERE state_key IS NOT NULL ORDER BY room_id, state_key, stream_ordering DESC`,
        `INSERT INTO current_state_delta_stream (stream_id, room_id, type, state_key, event_id, instance_name)
        SELECT stream_ordering, room_id, type, state_key, event_id, 'master' FROM events WHERE state_key IS NOT NULL`,
        `INSERT INTO local_current_membership (room_id, user_id, event_id, membership, event_stream_ordering)
        SELECT room_id, state_key, event_id, membership, event_stream_ordering FROM current_state_events WHERE state_key LIKE '%:bench.test'`,
        `INSERT INTO sliding_sync_membership_snapshots (room_id, user_id, sender, membership_event_id, membership, event_stream_ordering,
            event_instance_name, has_known_state, is_encrypted)
        SELECT room_id, user_id, user_id, event_id, membership, event_stream_ordering, 'master', true, true FROM local_current_membership`,
        `INSERT INTO sliding_sync_joined_rooms (room_id, event_stream_ordering, bump_stamp, room_name, is_encrypted)
        SELECT room_id, max(stream_ordering), max(stream_ordering), 'Raum „' || left(room_id, 6) || '“', true FROM events GROUP BY room_id`,
        `INSERT INTO room_stats_current (room_id, current_state_events, joined_members, invited_members, left_members, banned_members,
            local_users_in_room, completed_delta_stream_id, knocked_members)
        SELECT room_id, count(*), count(*), 0, 0, 0, count(*), ${events}, 0 FROM current_state_events GROUP BY room_id`,
        `INSERT INTO users_who_share_private_rooms (user_id, other_user_id, room_id)
        SELECT a.user_id, b.user_id, a.room_id FROM local_current_membership a JOIN local_current_membership b USING (room_id)
        WHERE a.user_id < b.user_id`,
    ];
}
