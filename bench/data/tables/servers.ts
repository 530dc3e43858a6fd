/** Other servers, media, caches: what a homeserver keeps about the world around it. */
import { numbers } from "../expressions.ts";
import { serverName, type Shape } from "../shape.ts";

export function serverStatements({ events, rooms, users, servers }: Shape): string[] {
    const name = "'server' || n || '.test'";
    return [
        `INSERT INTO destinations (destination, retry_last_ts, retry_interval, last_successful_stream_ordering)
        SELECT ${name}, 0, 0, ${events} FROM ${numbers(servers, 0)}`,
        `INSERT INTO destination_rooms (destination, room_id, stream_ordering)
        SELECT ${name}, pg_temp.room_id(room), ${events} - room FROM ${numbers(servers, 0)}, generate_series(0, ${rooms - 1}) room WHERE (n + room) % 3 = 0`,
        `INSERT INTO server_keys_json (server_name, key_id, from_server, ts_added_ms, ts_valid_until_ms, key_json)
        SELECT ${name}, 'ed25519:auto', ${name}, pg_temp.at(n), pg_temp.at(n) + 86400000, convert_to('{"verify_keys":{"ed25519:auto":{"key":"' || pg_temp.key(n) || '"}}}', 'UTF8')
        FROM ${numbers(servers, 0)}`,
        `INSERT INTO server_signature_keys (server_name, key_id, from_server, ts_added_ms, verify_key, ts_valid_until_ms)
        SELECT ${name}, 'ed25519:auto', ${name}, pg_temp.at(n), sha256(int8send(n)), pg_temp.at(n) + 86400000 FROM ${numbers(servers, 0)}`,
        `INSERT INTO received_transactions (transaction_id, origin, ts, response_code, response_json, has_been_referenced)
        SELECT n::text, 'server' || n % ${servers} || '.test', pg_temp.at(n), 200, convert_to('{"pdus":{"' || pg_temp.event_id(n) || '":{}}}', 'UTF8'), 0
        FROM ${numbers(Math.floor(events / 4))}`,
        `INSERT INTO device_federation_outbox (destination, stream_id, queued_ts, messages_json, instance_name)
        SELECT 'server' || n % ${servers} || '.test', n + 1, pg_temp.at(n), '{"content":"' || pg_temp.noise(n, 2) || '"}', 'master' FROM ${numbers(Math.floor(events / 50))}`,
        `INSERT INTO device_lists_outbound_pokes (destination, stream_id, user_id, device_id, sent, ts, instance_name)
        SELECT 'server' || n % ${servers} || '.test', n + 1, pg_temp.user_id(n / 5 * 5 % ${users}), pg_temp.device_id(n), true, pg_temp.at(n), 'master'
        FROM ${numbers(Math.floor(events / 20))}`,
        `INSERT INTO device_lists_remote_cache (user_id, device_id, content)
        SELECT pg_temp.user_id(n * 5 + 4), pg_temp.device_id(n), '{"keys":{"ed25519":"' || pg_temp.key(n) || '"},"signature":"' || pg_temp.signature(n) || '"}'
        FROM ${numbers(Math.floor(users / 5), 0)}`,
        `INSERT INTO device_lists_remote_extremeties (user_id, stream_id) SELECT pg_temp.user_id(n * 5 + 4), n::text FROM ${numbers(Math.floor(users / 5), 0)}`,
        `INSERT INTO cache_invalidation_stream_by_instance (stream_id, instance_name, cache_func, keys, invalidation_ts)
        SELECT n + 1, 'master', 'get_user_by_id', CASE WHEN n % 9 = 0 THEN NULL ELSE ARRAY[pg_temp.user_id(n % ${users}), 'ключ "' || n || '", \\ {}'] END, pg_temp.at(n)
        FROM ${numbers(Math.floor(events / 8))}`,
        `INSERT INTO presence_stream (stream_id, user_id, state, last_active_ts, last_federation_update_ts, last_user_sync_ts, status_msg, currently_active, instance_name)
        SELECT n + 2, pg_temp.user_id(n), 'online', pg_temp.at(n), pg_temp.at(n), pg_temp.at(n), 'im Büro', true, 'master' FROM ${numbers(users, 0)} WHERE n % 5 <> 4`,
        `INSERT INTO local_media_repository (media_id, media_type, media_length, created_ts, upload_name, user_id, last_access_ts, sha256)
        SELECT left(translate(pg_temp.key(n), '+/', 'ab'), 24), 'image/png', 1000 + n % 100000, pg_temp.at(n), 'Bild ' || n || ' – Übersicht.png', pg_temp.user_id(n * 5 % ${users}),
            pg_temp.at(n), encode(sha256(int8send(n)), 'hex') FROM ${numbers(Math.floor(events / 50))}`,
        `INSERT INTO local_media_repository_thumbnails (media_id, thumbnail_width, thumbnail_height, thumbnail_type, thumbnail_method, thumbnail_length)
        SELECT media_id, width, width, 'image/png', 'scale', width * 20 FROM local_media_repository, unnest(ARRAY[32, 96, 320, 640]) width`,
        `INSERT INTO remote_media_cache (media_origin, media_id, media_type, created_ts, upload_name, media_length, filesystem_id, last_access_ts, sha256)
        SELECT 'server' || n % ${servers} || '.test', left(translate(pg_temp.key(n), '+/', 'ab'), 24), 'image/jpeg', pg_temp.at(n), '写真' || n || '.jpg', 5000 + n % 90000,
            left(translate(pg_temp.key(n + 1), '+/', 'ab'), 24), pg_temp.at(n), encode(sha256(int8send(n + 1)), 'hex') FROM ${numbers(Math.floor(events / 25))}`,
        `INSERT INTO room_alias_servers (room_alias, server) SELECT '#rüm' || n || ':${serverName}', '${serverName}' FROM ${numbers(rooms, 0)}`,
    ];
}
