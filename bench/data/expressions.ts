/**
 * Functions of the generating session: what has no number of its own is a hash of one, so that the same size gives the same rows.
 *
 * Hashes are SHA-2, and PostgreSQL's extended hash of a bigint, which is the same on all servers of a byte order.
 */
import type { Shape } from "./shape.ts";
import { serverName } from "./shape.ts";

const urlSafe = (bytes: string): string => `translate(encode(${bytes}, 'base64'), E'+/=\\n', '-_')`;
const plain = (bytes: string): string => `translate(encode(${bytes}, 'base64'), E'=\\n', '')`;
const digest = (kind: string): string => `sha256(int8send(n) || '${kind}'::bytea)`;

/** To be run before all other statements, in their session. */
export function sessionFunctions({ rooms, users, servers }: Shape): string[] {
    const make = (signature: string, type: string, body: string): string =>
        `CREATE FUNCTION pg_temp.${signature} RETURNS ${type} LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN ${body}`;
    return [
        // A number from 0 to below the bound that looks like chance.
        make("pick(n bigint, salt bigint, bound bigint)", "bigint", "abs(hashint8extended(n, salt) % bound)"),
        make("event_id(n bigint)", "text", `'$' || ${urlSafe(digest("event"))}`),
        make("room_id(n bigint)", "text", `'!' || left(${urlSafe(digest("room"))}, 18) || ':${serverName}'`),
        // One user in five is of another server.
        make(
            "user_id(n bigint)",
            "text",
            `CASE WHEN n % 5 = 4 THEN '@user' || n || ':server' || n % ${servers} || '.test' ELSE '@user' || n || ':${serverName}' END`,
        ),
        make("device_id(n bigint)", "text", `upper(left(encode(${digest("device")}, 'hex'), 10))`),
        // As random as signatures and ciphertext are: compressing them gains no more than the quarter that base64 costs.
        make("signature(n bigint)", "text", plain(`sha512(int8send(n) || 'signature'::bytea)`)),
        make("key(n bigint)", "text", plain(digest("key"))),
        make(
            "noise(n bigint, blocks bigint)",
            "text",
            `(SELECT string_agg(${plain("sha512(int8send(n) || int8send(block))")}, '' ORDER BY block) FROM generate_series(1, blocks) block)`,
        ),
        // Events before this one in its room have smaller numbers, as rooms take turns.
        make("room_of(n bigint)", "bigint", `n % ${rooms}`),
        make("before(n bigint, steps bigint)", "bigint", `greatest(n - steps * ${rooms}, (n - 1) % ${rooms} + 1)`),
        make("sender_of(n bigint)", "bigint", `pg_temp.pick(n, 11, ${users})`),
        make("at(n bigint)", "bigint", "1700000000000 + n * 2311"),
        make(
            "words(n bigint)",
            "text",
            `(ARRAY['Good morning', 'Grüße aus Köln', 'Привет всем', '今日は元気ですか', 'the build is broken again',
                'see you at lunch', 'naïve façade, déjà vu', 'הכל בסדר', 'who broke the tests? 🦊', 'merged, thank you']
             )[pg_temp.pick(n, 21, 10) + 1] || ' ' || pg_temp.pick(n, 22, 5000) || ' ' || left(pg_temp.signature(n), (10 + pg_temp.pick(n, 23, 60))::int)`,
        ),
        make(
            "name_of(n bigint)",
            "text",
            `(ARRAY['Ada', 'Chloé', 'Δήμητρα', 'Иван', '山田太郎', 'Zoë “Z” 🦊', 'Søren', 'محمد'])[n % 8 + 1] || ' ' || n`,
        ),
    ];
}

/** `generate_series(from, to) n`. */
export const numbers = (count: number, from = 1): string =>
    `generate_series(${from}::bigint, ${from + count - 1}::bigint) n`;
