/** What the moved database itself names, for the probe of a source that could not be given anything to look for. */
import { z } from "zod";
import { query, type Client } from "../postgres/connection.ts";
import { registerSecret } from "../run/redaction.ts";

export interface NamedMedium {
    readonly mediaId: string;
    readonly length: number;
    /** Null in rows from before schema version 91. */
    readonly sha256: string | null;
}

/** How many media are asked for: the newest, as people look at those. */
const mediaAsked = 5;

/** Uploaded here, and to be seen by every user of the homeserver. */
export async function namedMedia(client: Client): Promise<NamedMedium[]> {
    const [hashed] = await query(
        client,
        z.object({ hashed: z.boolean() }),
        `SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'public.local_media_repository'::regclass
            AND attname = 'sha256' AND NOT attisdropped) AS hashed`,
    );
    return query(
        client,
        z.object({ mediaId: z.string(), length: z.coerce.number(), sha256: z.string().nullable() }),
        `SELECT media_id AS "mediaId", media_length::text AS length, ${hashed?.hashed === true ? "sha256" : "NULL::text"} AS sha256
        FROM public.local_media_repository
        WHERE url_cache IS NULL AND media_length IS NOT NULL AND quarantined_by IS NULL
        ORDER BY created_ts DESC NULLS LAST, media_id LIMIT ${mediaAsked}`,
    );
}

const content = z.looseObject({});
export interface NamedEvent {
    readonly roomId: string;
    readonly eventId: string;
    readonly content: unknown;
}

/** The newest message in a room that the account is in, from after it came there: it may see that, whatever the room's visibility is. */
export async function namedEvent(client: Client, userId: string): Promise<NamedEvent | undefined> {
    const [found] = await query(
        client,
        z.object({ roomId: z.string(), eventId: z.string(), json: z.string() }),
        `SELECT e.room_id AS "roomId", e.event_id AS "eventId", j.json FROM public.local_current_membership m
        JOIN public.events own ON own.event_id = m.event_id
        JOIN public.events e ON e.room_id = m.room_id AND e.stream_ordering > own.stream_ordering
        JOIN public.event_json j ON j.event_id = e.event_id
        LEFT JOIN public.redactions r ON r.redacts = e.event_id
        LEFT JOIN public.rejections x ON x.event_id = e.event_id
        WHERE m.user_id = $1 AND m.membership = 'join' AND e.type IN ('m.room.message', 'm.room.encrypted')
            AND r.event_id IS NULL AND x.event_id IS NULL AND NOT e.outlier
        ORDER BY e.stream_ordering DESC LIMIT 1`,
        [userId],
    );
    if (found === undefined) return undefined;
    const event = z.object({ content }).parse(JSON.parse(found.json));
    return { roomId: found.roomId, eventId: found.eventId, content: event.content };
}

export interface NamedTokens {
    /** Of the test account, from before the move: of nobody else one is used. */
    readonly own: { readonly token: string; readonly deviceId: string | null } | undefined;
    /** Of all accounts, but guests and ours, that have a device, and of those that have a token, too. */
    readonly withDevice: number;
    readonly withToken: number;
}

export async function namedTokens(client: Client, userId: string, ourDevices: readonly string[]): Promise<NamedTokens> {
    const [own] = await query(
        client,
        z.object({ token: z.string(), deviceId: z.string().nullable() }),
        `SELECT a.token, a.device_id AS "deviceId" FROM public.access_tokens a
        LEFT JOIN public.devices d ON d.user_id = a.user_id AND d.device_id = a.device_id
        WHERE a.user_id = $1 AND NOT coalesce(d.display_name = ANY ($2), false)
            AND (a.valid_until_ms IS NULL OR a.valid_until_ms > $3)
        ORDER BY a.id DESC LIMIT 1`,
        [userId, ourDevices, Date.now() + 60_000],
    );
    if (own !== undefined) registerSecret(own.token);
    const [counts] = await query(
        client,
        z.object({ withDevice: z.coerce.number(), withToken: z.coerce.number() }),
        `SELECT count(*)::text AS "withDevice",
            count(*) FILTER (WHERE EXISTS (SELECT FROM public.access_tokens a WHERE a.user_id = u.name))::text AS "withToken"
        FROM public.users u WHERE u.name <> $1 AND u.deactivated = 0 AND u.is_guest = 0
            AND EXISTS (SELECT FROM public.devices d WHERE d.user_id = u.name AND NOT d.hidden AND d.last_seen IS NOT NULL)`,
        [userId],
    );
    return { own, withDevice: counts?.withDevice ?? 0, withToken: counts?.withToken ?? 0 };
}
