/** Rows for Synapse's largest tables, in the proportions of a real homeserver, with signatures and ciphertext that do not compress. */

/** Base64 of random bytes. */
const random = (length: number): string =>
    `left(${Array.from({ length: Math.ceil(length / 86) }, () => "translate(encode(sha512(random()::text::bytea), 'base64'), E'\\n=', '')").join(" || ")}, ${length})`;

const eventId = "'$' || n || '-' || substr(md5(n::text), 1, 30)";
const room = "'!room' || n % 200 || ':rehearsal.test'";
const sender = "'@user' || n % 500 || ':rehearsal.test'";
/** Above those of the homeserver that the database is of. */
const first = 1_000_000;

/** @param megabytes  of the plain dump, about */
export function fillStatements(megabytes: number): string[] {
    const events = Math.round(megabytes * 310);
    const numbers = (count: number): string => `generate_series(${first}, ${first + count - 1}) n`;
    return [
        "SELECT setseed(0.5)",
        `INSERT INTO events (topological_ordering, event_id, type, room_id, processed, outlier, depth, origin_server_ts, received_ts, sender,
            contains_url, instance_name, stream_ordering)
        SELECT n, ${eventId}, 'm.room.encrypted', ${room}, true, false, n, 1700000000000 + n, 1700000000000 + n, ${sender}, false, 'master', n
        FROM ${numbers(events)}`,
        `INSERT INTO event_json (event_id, room_id, internal_metadata, json, format_version)
        SELECT ${eventId}, ${room}, '{"stream_ordering":' || n || '}',
            '{"type":"m.room.encrypted","content":{"algorithm":"m.megolm.v1.aes-sha2","ciphertext":"' || ${random(640)} ||
            '","device_id":"' || ${random(10)} || '"},"sender":"' || ${sender} || '","hashes":{"sha256":"' || ${random(43)} ||
            '"},"signatures":{"rehearsal.test":{"ed25519:a_abcd":"' || ${random(86)} || '"}},"depth":' || n || '}', 3
        FROM ${numbers(events)}`,
        `INSERT INTO state_groups_state (state_group, room_id, type, state_key, event_id)
        SELECT n / 40, ${room}, 'm.room.member', ${sender}, ${eventId} FROM ${numbers(events * 12)}`,
        `INSERT INTO event_to_state_groups (event_id, state_group) SELECT ${eventId}, n / 40 FROM ${numbers(events)}`,
        `INSERT INTO event_edges (event_id, prev_event_id, is_state) SELECT ${eventId}, '$' || (n - 1), false FROM ${numbers(events)}`,
        `INSERT INTO event_auth (event_id, auth_id, room_id)
        SELECT ${eventId}, '$' || a || md5(a::text), ${room} FROM ${numbers(events)}, generate_series(1, 3) a`,
        `INSERT INTO stream_ordering_to_exterm (stream_ordering, room_id, event_id) SELECT n, ${room}, ${eventId} FROM ${numbers(events)}`,
        `INSERT INTO event_search (event_id, room_id, sender, key, vector, origin_server_ts, stream_ordering)
        SELECT ${eventId}, ${room}, ${sender}, 'content.body', to_tsvector('english', 'hello word' || n % 5000 || ' message' || n % 999), n, n
        FROM ${numbers(Math.round(events / 3))}`,
        `INSERT INTO received_transactions (transaction_id, origin, ts, response_code, has_been_referenced)
        SELECT n::text, 'server' || n % 300 || '.test', n, 200, 0 FROM ${numbers(events)}`,
    ];
}
