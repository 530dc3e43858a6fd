/** Users, their devices, keys, receipts and settings. */
import { numbers } from "../expressions.ts";
import { devicesPerUser, serverName, type Shape } from "../shape.ts";

const user = "pg_temp.user_id(u)";
const device = "pg_temp.device_id(d)";
const ms = "pg_temp.at(d)";

export function peopleStatements({ events, rooms, users }: Shape): string[] {
    /** Local users only, and for each device `u` and `d`. */
    const local = `(SELECT n AS u FROM ${numbers(users, 0)} WHERE n % 5 <> 4) local`;
    const devices = `(SELECT n / ${devicesPerUser} AS u, n AS d FROM ${numbers(users * devicesPerUser, 0)} WHERE n / ${devicesPerUser} % 5 <> 4) devices`;
    const json = (parts: string): string => `json_build_object(${parts})::text`;
    return [
        `INSERT INTO users (name, password_hash, creation_ts) SELECT ${user}, '$2b$12$' || left(pg_temp.signature(u), 53), pg_temp.at(u) / 1000 FROM ${local}`,
        `INSERT INTO profiles (user_id, displayname, avatar_url, full_user_id, fields)
        SELECT 'user' || u, pg_temp.name_of(u), 'mxc://${serverName}/' || left(pg_temp.key(u), 24), ${user},
            CASE WHEN u % 3 = 0 THEN jsonb_build_object('m.tz', 'Europe/Zürich', 'org.example.pronouns', jsonb_build_array('er', 'ihm', u)) END
        FROM ${local}`,
        `INSERT INTO profile_updates (stream_id, instance_name, user_id, action, affected_fields, inserted_ts)
        SELECT row_number() OVER (ORDER BY u) + 1, 'master', ${user}, 'update', jsonb_build_array('displayname', 'm.tz'), pg_temp.at(u) FROM ${local}`,
        `INSERT INTO user_directory (user_id, display_name) SELECT ${user}, pg_temp.name_of(u) FROM ${local}`,
        `INSERT INTO user_directory_search (user_id, vector) SELECT ${user}, to_tsvector('simple', pg_temp.name_of(u)) FROM ${local}`,
        `INSERT INTO user_filters (user_id, filter_id, filter_json, full_user_id)
        SELECT 'user' || u, 0, convert_to('{"room":{"timeline":{"limit":20},"not_rooms":["' || pg_temp.room_id(u % ${rooms}) || '"]}}', 'UTF8'), ${user} FROM ${local}`,
        `INSERT INTO devices (user_id, device_id, display_name, last_seen, ip, user_agent, hidden)
        SELECT ${user}, ${device}, 'Téléphone 📱 ' || d, ${ms}, '192.0.2.' || d % 250, 'Mozilla/5.0 (X11; Linux x86_64) Element/1.12', false FROM ${devices}`,
        `INSERT INTO access_tokens (id, user_id, device_id, token, last_validated, used)
        SELECT d + 2, ${user}, ${device}, 'syt_' || pg_temp.key(d), ${ms}, true FROM ${devices}`,
        `INSERT INTO user_ips (user_id, access_token, device_id, ip, user_agent, last_seen)
        SELECT ${user}, 'syt_' || pg_temp.key(d), ${device}, '198.51.100.' || i, 'Mozilla/5.0 (X11; Linux x86_64) Element/1.12', ${ms} + i
        FROM ${devices}, generate_series(1, 3) i`,
        `INSERT INTO user_daily_visits (user_id, device_id, "timestamp", user_agent)
        SELECT ${user}, ${device}, 1700006400000 + i * 86400000, 'Element/1.12' FROM ${devices}, generate_series(1, 10) i`,
        `INSERT INTO e2e_device_keys_json (user_id, device_id, ts_added_ms, key_json)
        SELECT ${user}, ${device}, ${ms}, ${json(`'device_id', ${device}, 'user_id', ${user},
            'keys', json_build_object('ed25519:' || ${device}, pg_temp.key(d), 'curve25519:' || ${device}, pg_temp.key(d + 1)),
            'signatures', json_build_object(${user}, json_build_object('ed25519:' || ${device}, pg_temp.signature(d)))`)} FROM ${devices}`,
        `INSERT INTO e2e_one_time_keys_json (user_id, device_id, algorithm, key_id, ts_added_ms, key_json)
        SELECT ${user}, ${device}, 'signed_curve25519', 'AAAA' || i, ${ms}, ${json(`'key', pg_temp.key(d * 100 + i),
            'signatures', json_build_object(${user}, json_build_object('ed25519:' || ${device}, pg_temp.signature(d * 100 + i)))`)}
        FROM ${devices}, generate_series(1, 20) i`,
        `INSERT INTO e2e_fallback_keys_json (user_id, device_id, algorithm, key_id, key_json, used)
        SELECT ${user}, ${device}, 'signed_curve25519', 'AAAB', ${json("'fallback', true, 'key', pg_temp.key(d)")}, d % 2 = 0 FROM ${devices}`,
        `INSERT INTO e2e_cross_signing_keys (user_id, keytype, keydata, stream_id, instance_name)
        SELECT ${user}, keytype, ${json(`'usage', json_build_array(keytype), 'keys', json_build_object('ed25519:' || pg_temp.key(u), pg_temp.signature(u))`)},
            u * 3 + ordinality, 'master'
        FROM ${local}, unnest(ARRAY['master', 'self_signing', 'user_signing']) WITH ORDINALITY keys (keytype, ordinality)`,
        `INSERT INTO e2e_room_keys_versions (user_id, version, algorithm, auth_data, etag)
        SELECT ${user}, 1, 'm.megolm_backup.v1.curve25519-aes-sha2', ${json("'public_key', pg_temp.key(u)")}, 1 FROM ${local}`,
        `INSERT INTO e2e_room_keys (user_id, room_id, session_id, version, first_message_index, forwarded_count, is_verified, session_data)
        SELECT ${user}, pg_temp.room_id((u + i) % ${rooms}), pg_temp.key(u * 1000 + i), 1, 0, 0, i % 2 = 0,
            ${json("'ephemeral', pg_temp.key(i), 'mac', left(pg_temp.signature(i), 11), 'ciphertext', pg_temp.noise(u * 1000 + i, 3)")}
        FROM ${local}, generate_series(1, 25) i`,
        `INSERT INTO device_lists_stream (stream_id, user_id, device_id, instance_name) SELECT d + 2, ${user}, ${device}, 'master' FROM ${devices}`,
        `INSERT INTO device_lists_changes_in_room (user_id, device_id, room_id, stream_id, converted_to_destinations, instance_name, inserted_ts)
        SELECT ${user}, ${device}, pg_temp.room_id((d + i) % ${rooms}), d + 2, true, 'master', ${ms} FROM ${devices}, generate_series(1, 3) i`,
        `INSERT INTO device_inbox (user_id, device_id, stream_id, message_json, instance_name)
        SELECT ${user}, ${device}, d * 5 + i + 1, ${json(`'type', 'm.room.encrypted', 'sender', pg_temp.user_id(i), 'content', json_build_object('algorithm',
            'm.olm.v1.curve25519-aes-sha2', 'ciphertext', json_build_object(pg_temp.key(d), json_build_object('type', 0, 'body', pg_temp.noise(d * 5 + i, 4))))`)},
            'master' FROM ${devices}, generate_series(1, 5) i`,
        `INSERT INTO receipts_linearized (stream_id, room_id, receipt_type, user_id, event_id, data, instance_name, event_stream_ordering)
        SELECT row_number() OVER (ORDER BY event_stream_ordering) + 1, room_id, 'm.read', user_id, event_id, '{"ts":' || pg_temp.at(event_stream_ordering) || '}',
            'master', event_stream_ordering FROM local_current_membership`,
        `INSERT INTO receipts_graph (room_id, receipt_type, user_id, event_ids, data)
        SELECT room_id, receipt_type, user_id, '["' || event_id || '"]', data FROM receipts_linearized`,
        `INSERT INTO account_data (user_id, account_data_type, stream_id, content, instance_name)
        SELECT ${user}, 'm.direct', u + 2, ${json("pg_temp.user_id(u + 1), json_build_array(pg_temp.room_id(0), pg_temp.name_of(u))")}, 'master' FROM ${local}`,
        `INSERT INTO room_account_data (user_id, room_id, account_data_type, stream_id, content, instance_name)
        SELECT user_id, room_id, 'm.fully_read', ${users} + row_number() OVER (ORDER BY event_stream_ordering) + 2, '{"event_id":"' || event_id || '"}', 'master'
        FROM local_current_membership`,
        `INSERT INTO room_tags (user_id, room_id, tag, content)
        SELECT ${user}, pg_temp.room_id(u % ${rooms}), 'u.Größe', '{"order":0.5}' FROM ${local}`,
        `INSERT INTO push_rules (id, user_name, rule_id, priority_class, priority, conditions, actions)
        SELECT u + 2, ${user}, 'global/room/' || pg_temp.room_id(u % ${rooms}), 3, 0, '[]', '["dont_notify"]' FROM ${local}`,
        `INSERT INTO push_rules_stream (stream_id, event_stream_ordering, user_id, rule_id, op, priority_class, priority, conditions, actions, instance_name)
        SELECT u + 2, ${events}, ${user}, 'global/room/' || pg_temp.room_id(u % ${rooms}), 'ADD', 3, 0, '[]', '["dont_notify"]', 'master' FROM ${local}`,
        `INSERT INTO pushers (id, user_name, access_token, profile_tag, kind, app_id, app_display_name, device_display_name, pushkey, ts, lang, data, enabled)
        SELECT u + 2, ${user}, u * ${devicesPerUser} + 2, '', 'http', 'im.vector.app', 'Élément', 'Téléphone 📱', pg_temp.key(u), pg_temp.at(u), 'de-CH', '{}', true FROM ${local}`,
        `INSERT INTO event_txn_id_device_id (event_id, room_id, user_id, device_id, txn_id, inserted_ts)
        SELECT e.event_id, e.room_id, d.user_id, d.device_id, 'm' || e.stream_ordering, e.received_ts
        FROM events e JOIN devices d ON d.user_id = e.sender AND d.device_id = pg_temp.device_id(pg_temp.sender_of(e.stream_ordering) * ${devicesPerUser})
        WHERE e.stream_ordering > ${Math.floor(events * 0.9)}`,
    ];
}
