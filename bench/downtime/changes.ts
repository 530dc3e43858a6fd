/** What a homeserver writes for an event: a model of Synapse, as performance depends on which tables change, and how. */
import { escapeLiteral } from "pg";

/** What a changing homeserver refers to, read out of its database. Lists are not empty. */
export interface Population {
    readonly rooms: readonly string[];
    readonly users: readonly string[];
    readonly devices: readonly { readonly user: string; readonly device: string }[];
    readonly receipts: readonly { readonly room: string; readonly user: string }[];
}

/** Pushes and messages to devices live for this many events. */
const lifetime = 20;

/**
 * One transaction: rows into nine tables, updates of devices, receipts and users, and deletes of what an earlier event has left: some twenty
 * rows.
 *
 * @param n  number of the event, from 0 on; the same number must not be written twice
 */
export function changesOf(n: number, population: Population): string {
    const eventId = (number: number): string => `'$written-${number}'`;
    const roomOf = (number: number): string => escapeLiteral(at(population.rooms, number * 7));
    const deviceOf = (number: number): { user: string; device: string } => {
        const { user, device } = at(population.devices, number * 13);
        return { user: escapeLiteral(user), device: escapeLiteral(device) };
    };
    const [room, event, { user, device }] = [roomOf(n), eventId(n), deviceOf(n)];
    const receipt = at(population.receipts, n * 11);
    const old = n - lifetime;
    const oldDevice = deviceOf(Math.max(0, old));
    const now = 1_800_000_000_000 + n * 25;
    const ordering = "currval('events_stream_seq')";
    const group = "currval('state_group_id_seq')";
    const json = `'{"type":"m.room.encrypted","content":{"ciphertext":"' || repeat(md5('${n}'), 16) || '"},"sender":"' || ${user} || '"}'`;
    return [
        "BEGIN",
        `INSERT INTO events (topological_ordering, event_id, type, room_id, processed, outlier, depth, origin_server_ts, received_ts, sender,
            contains_url, instance_name, stream_ordering)
        VALUES (${1_000_000 + n}, ${event}, 'm.room.encrypted', ${room}, true, false, ${1_000_000 + n}, ${now}, ${now}, ${user}, false, 'master',
            nextval('events_stream_seq'))`,
        `INSERT INTO event_json (event_id, room_id, internal_metadata, json, format_version) VALUES (${event}, ${room}, '{}', ${json}, 3)`,
        `INSERT INTO event_edges (event_id, prev_event_id, is_state) VALUES (${event}, ${eventId(n - 1)}, false)`,
        `INSERT INTO event_auth (event_id, auth_id, room_id) SELECT ${event}, '$auth-' || i, ${room} FROM generate_series(1, 2) i`,
        `INSERT INTO state_groups (id, room_id, event_id) VALUES (nextval('state_group_id_seq'), ${room}, ${event})`,
        `INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
        SELECT ${group}, ${room}, 'm.room.member', '@member' || i || ':bench.test', ${event} FROM generate_series(1, 4) i`,
        `INSERT INTO event_to_state_groups (event_id, state_group) VALUES (${event}, ${group})`,
        `INSERT INTO event_push_actions (room_id, event_id, user_id, actions, topological_ordering, stream_ordering, notif, highlight, unread, thread_id)
        SELECT ${room}, ${event}, '@pushed' || i || ':bench.test', '["notify"]', ${1_000_000 + n}, ${ordering}, 1, 0, 1, 'main' FROM generate_series(1, 2) i`,
        `INSERT INTO device_inbox (user_id, device_id, stream_id, message_json, instance_name)
        VALUES (${user}, ${device}, nextval('device_inbox_sequence'), ${json}, 'written')`,
        `UPDATE devices SET last_seen = ${now} WHERE user_id = ${user} AND device_id = ${device}`,
        `UPDATE receipts_linearized SET stream_id = nextval('receipts_sequence'), event_id = ${event}, data = '{"ts":${now}}'
        WHERE room_id = ${escapeLiteral(receipt.room)} AND user_id = ${escapeLiteral(receipt.user)} AND receipt_type = 'm.read' AND thread_id IS NULL`,
        `UPDATE users SET consent_ts = ${now} WHERE name = ${escapeLiteral(at(population.users, n * 17))}`,
        ...(old < 0
            ? []
            : [
                  `DELETE FROM event_push_actions WHERE room_id = ${roomOf(old)} AND event_id = ${eventId(old)}`,
                  `DELETE FROM device_inbox WHERE user_id = ${oldDevice.user} AND device_id = ${oldDevice.device} AND instance_name = 'written'
                  AND stream_id <= currval('device_inbox_sequence') - ${lifetime}`,
              ]),
        "COMMIT",
    ].join(";\n");
}

function at<T>(list: readonly T[], index: number): T {
    const found = list[index % list.length];
    if (found === undefined) throw new Error("the population has none of what is written about");
    return found;
}
