/** Rooms, their events, and what is kept of each event. */
import { numbers } from "../expressions.ts";
import type { Shape } from "../shape.ts";

/** Of twenty events two are memberships, one is a reaction, six are messages in the clear, the others are encrypted. */
const kind = "pg_temp.pick(n, 12, 20)";
const type = `CASE WHEN ${kind} < 2 THEN 'm.room.member' WHEN ${kind} = 2 THEN 'm.reaction' WHEN ${kind} < 9 THEN 'm.room.message' ELSE 'm.room.encrypted' END`;
const eventId = "pg_temp.event_id(n)";
const roomId = "pg_temp.room_id(pg_temp.room_of(n))";
const sender = "pg_temp.user_id(pg_temp.sender_of(n))";

const content = `CASE
    WHEN type = 'm.room.member' THEN json_build_object('membership', 'join', 'displayname', pg_temp.name_of(pg_temp.sender_of(n)))
    WHEN type = 'm.reaction' THEN json_build_object('m.relates_to', json_build_object('rel_type', 'm.annotation', 'key', '👍',
        'event_id', pg_temp.event_id(pg_temp.before(n, 1))))
    WHEN type = 'm.room.message' THEN json_build_object('msgtype', 'm.text', 'body', pg_temp.words(n))
    ELSE json_build_object('algorithm', 'm.megolm.v1.aes-sha2', 'ciphertext', pg_temp.noise(n, 2 + pg_temp.pick(n, 31, 7)),
        'sender_key', pg_temp.key(pg_temp.sender_of(n)), 'device_id', pg_temp.device_id(pg_temp.sender_of(n)), 'session_id', pg_temp.key(n / 50))
    END`;

/** `stream_ordering` stands for `n` in what follows from events. */
const fromEvents = "(SELECT *, stream_ordering AS n FROM events) e";

export function eventStatements({ events, rooms }: Shape): string[] {
    return [
        `INSERT INTO rooms (room_id, is_public, creator, room_version, has_auth_chain_index)
        SELECT pg_temp.room_id(n), n % 7 = 0, pg_temp.user_id(n), '10', true FROM ${numbers(rooms, 0)}`,
        `INSERT INTO room_depth (room_id, min_depth) SELECT pg_temp.room_id(n), 1 FROM ${numbers(rooms, 0)}`,
        `INSERT INTO room_aliases (room_alias, room_id, creator)
        SELECT '#rüm' || n || ':bench.test', pg_temp.room_id(n), pg_temp.user_id(n) FROM ${numbers(rooms, 0)}`,
        `INSERT INTO room_stats_state (room_id, name, join_rules, history_visibility, encryption, topic)
        SELECT pg_temp.room_id(n), pg_temp.words(n), 'invite', 'shared', 'm.megolm.v1.aes-sha2', pg_temp.words(n + 7) FROM ${numbers(rooms, 0)}`,
        `INSERT INTO events (topological_ordering, event_id, type, room_id, processed, outlier, depth, origin_server_ts, received_ts, sender,
            contains_url, instance_name, stream_ordering, state_key)
        SELECT (n - 1) / ${rooms} + 1, ${eventId}, ${type}, ${roomId}, true, false, (n - 1) / ${rooms} + 1, pg_temp.at(n), pg_temp.at(n) + 40,
            ${sender}, n % 50 = 3, 'master', n, CASE WHEN ${kind} < 2 THEN ${sender} END
        FROM ${numbers(events)}`,
        `INSERT INTO event_json (event_id, room_id, internal_metadata, json, format_version)
        SELECT event_id, room_id, '{"device_id":"' || pg_temp.device_id(n) || '"}',
            json_build_object('auth_events', json_build_array(pg_temp.event_id(pg_temp.before(n, 3)), pg_temp.event_id(pg_temp.before(n, 5))),
                'prev_events', json_build_array(pg_temp.event_id(pg_temp.before(n, 1))), 'type', type, 'room_id', room_id, 'sender', sender,
                'content', ${content}, 'depth', depth, 'hashes', json_build_object('sha256', pg_temp.key(n)), 'origin_server_ts', origin_server_ts,
                'signatures', json_build_object(split_part(sender, ':', 2), json_build_object('ed25519:a_bench', pg_temp.signature(n))),
                'unsigned', json_build_object('age_ts', received_ts))::text, 3
        FROM ${fromEvents}`,
        `INSERT INTO event_edges (event_id, prev_event_id, is_state)
        SELECT event_id, pg_temp.event_id(pg_temp.before(n, 1)), false FROM ${fromEvents} WHERE n > ${rooms}`,
        `INSERT INTO event_auth (event_id, auth_id, room_id)
        SELECT event_id, pg_temp.event_id(pg_temp.before(n, steps)), room_id FROM ${fromEvents}, unnest(ARRAY[3, 5, 8]) steps WHERE n % 2 = 0`,
        `INSERT INTO event_auth_chains (event_id, chain_id, sequence_number)
        SELECT event_id, n / 10, 1 FROM ${fromEvents} WHERE n % 10 = 0`,
        `INSERT INTO event_auth_chain_links (origin_chain_id, origin_sequence_number, target_chain_id, target_sequence_number)
        SELECT n, 1, n - step, 1 FROM ${numbers(Math.floor(events / 10), 2)}, generate_series(1, 2) step WHERE n - step > 0 AND n <= ${Math.floor(events / 10)}`,
        `INSERT INTO event_search (event_id, room_id, sender, key, vector, origin_server_ts, stream_ordering)
        SELECT event_id, room_id, sender, 'content.body', to_tsvector('english', pg_temp.words(n) || ' ' || pg_temp.words(n + 1)), origin_server_ts, n
        FROM ${fromEvents} WHERE type = 'm.room.message'`,
        `INSERT INTO event_relations (event_id, relates_to_id, relation_type, aggregation_key)
        SELECT event_id, pg_temp.event_id(pg_temp.before(n, 1)), 'm.annotation', '👍' FROM ${fromEvents} WHERE type = 'm.reaction'`,
        `INSERT INTO event_labels (event_id, label, room_id, topological_ordering)
        SELECT event_id, '#spaß', room_id, topological_ordering FROM ${fromEvents} WHERE n % 100 = 1`,
        `INSERT INTO redactions (event_id, redacts, have_censored, received_ts)
        SELECT event_id, pg_temp.event_id(pg_temp.before(n, 2)), true, received_ts FROM ${fromEvents} WHERE n % 200 = 1`,
        `INSERT INTO event_forward_extremities (event_id, room_id)
        SELECT event_id, room_id FROM events WHERE stream_ordering > ${events - rooms}`,
        `INSERT INTO stream_ordering_to_exterm (stream_ordering, room_id, event_id)
        SELECT stream_ordering, room_id, event_id FROM events WHERE stream_ordering > ${Math.floor(events / 2)}`,
        `INSERT INTO threads (room_id, thread_id, latest_event_id, topological_ordering, stream_ordering)
        SELECT room_id, event_id, event_id, topological_ordering, stream_ordering FROM events WHERE stream_ordering % 500 = 1`,
        `INSERT INTO event_push_actions (room_id, event_id, user_id, actions, topological_ordering, stream_ordering, notif, highlight, unread, thread_id)
        SELECT room_id, event_id, pg_temp.user_id(pg_temp.sender_of(n + of)), '["notify",{"set_tweak":"highlight","value":false}]', topological_ordering, n,
            1, 0, 1, 'main'
        FROM ${fromEvents}, generate_series(1, 2) of WHERE n > ${Math.floor(events / 2)} AND type <> 'm.room.member'`,
        `INSERT INTO event_push_summary (user_id, room_id, notif_count, stream_ordering, unread_count, thread_id)
        SELECT user_id, room_id, count(*), max(stream_ordering), count(*), 'main' FROM event_push_actions GROUP BY user_id, room_id`,
    ];
}
