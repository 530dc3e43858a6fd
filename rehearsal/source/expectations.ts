/** What was put into a homeserver: plain JSON, so that it can be kept in a file and compared with any server later. */
import { z } from "zod";
import { jsonObject } from "./matrixClient.ts";

const device = z.strictObject({ deviceId: z.string(), displayName: z.string(), accessToken: z.string() });

const thumbnail = z.strictObject({ width: z.number(), height: z.number(), method: z.string(), sha256: z.string() });
const media = z.strictObject({
    mxc: z.string(),
    type: z.string(),
    sizeBytes: z.number(),
    sha256: z.string(),
    thumbnails: z.array(thumbnail),
});
export type ExpectedMedia = z.infer<typeof media>;

const backup = z.strictObject({
    version: z.string(),
    authData: jsonObject,
    count: z.number(),
    /** As `GET /room_keys/keys` answers. */
    rooms: jsonObject,
});

const encryption = z.strictObject({
    /** As uploaded, for the first device. */
    deviceKeys: jsonObject,
    masterKey: jsonObject,
    selfSigningKey: jsonObject,
    userSigningKey: jsonObject,
    /** Unclaimed ones by algorithm, of the first device. */
    oneTimeKeyCounts: z.record(z.string(), z.number()),
    unusedFallbackKeyTypes: z.array(z.string()),
    backup: backup.optional(),
});
export type ExpectedEncryption = z.infer<typeof encryption>;

const pendingSync = z.strictObject({
    /** A `next_batch` of the first device, taken before the last messages were sent. */
    since: z.string(),
    /** Ids of the events sent after it, in order, by room. */
    events: z.record(z.string(), z.array(z.string())),
    /** Contents of to-device messages sent after it, in order. */
    toDevice: z.array(jsonObject),
});

const user = z.strictObject({
    userId: z.string(),
    password: z.string(),
    displayName: z.string(),
    avatar: z.string(),
    /** The first one has keys. */
    devices: z.array(device).min(1),
    accountData: z.record(z.string(), jsonObject),
    /** Tags by room. */
    tags: z.record(z.string(), jsonObject),
    roomAccountData: z.record(z.string(), z.record(z.string(), jsonObject)),
    /** As `GET /pushrules/` answers. */
    pushRules: jsonObject,
    filter: z.strictObject({ id: z.string(), content: jsonObject }),
    /** Push keys. */
    pushers: z.array(z.string()),
    encryption,
    sync: pendingSync,
});
export type ExpectedUser = z.infer<typeof user>;

const event = z.strictObject({
    eventId: z.string(),
    type: z.string(),
    sender: z.string(),
    stateKey: z.string().optional(),
    /** Empty, or nearly so, when redacted. */
    content: jsonObject,
    originServerTs: z.number(),
    redacted: z.boolean(),
});
export type ExpectedEvent = z.infer<typeof event>;

export const roomKinds = ["public", "private", "encrypted", "upgraded"] as const;
const room = z.strictObject({
    roomId: z.string(),
    kind: z.enum(roomKinds),
    name: z.string(),
    alias: z.string().optional(),
    /** User id of somebody who sees all of it. */
    reader: z.string(),
    /** The whole timeline, oldest first, state events included. */
    events: z.array(event),
    /** Current state. */
    state: z.array(event),
    /** Public read receipts: event by user. */
    receipts: z.record(z.string(), z.string()),
});
export type ExpectedRoom = z.infer<typeof room>;

/** All that a check compares a homeserver with. Holds passwords and tokens: keep it in a file of mode 0600. */
export const expectations = z.strictObject({
    serverName: z.string(),
    /** `{"ed25519:a_AbCd": "<unpadded base64 of the public key>"}`. */
    verifyKeys: z.record(z.string(), z.string()),
    oldVerifyKeys: z.record(z.string(), z.string()),
    /** Bytes of the pepper: with a password it must stay under 72 bytes to prove anything. */
    pepperBytes: z.number(),
    users: z.array(user).min(2),
    deactivated: z.strictObject({ userId: z.string(), password: z.string() }),
    guest: z.strictObject({ userId: z.string(), accessToken: z.string() }),
    rooms: z.array(room).min(1),
    media: z.array(media),
    /** A word that occurs in one message only, and which. */
    needle: z.strictObject({ word: z.string(), userId: z.string(), eventId: z.string() }),
});
export type Expectations = z.infer<typeof expectations>;
