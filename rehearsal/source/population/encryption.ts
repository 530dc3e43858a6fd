/** Keys of end-to-end encryption as a client uploads them: really signed, though nothing is really encrypted. */
import { z } from "zod";
import type { ExpectedEncryption } from "../expectations.ts";
import { jsonObject, matrixPath, type JsonObject } from "../matrixClient.ts";
import { signingKey, unpaddedBase64, type SigningKey } from "../signingKey.ts";
import type { Account, Site } from "./site.ts";
import { nothing } from "./accounts.ts";

const oneTimeKeys = 8;
const backedUpSessions = 5;
const uploaded = z.object({ one_time_key_counts: z.record(z.string(), z.number()) });
const version = z.object({ version: z.string() });
const backupState = z.object({ version: z.string(), auth_data: jsonObject, count: z.number() });

/** Uploads device keys, one-time keys, a fallback key and cross-signing keys; for every other user a key backup as well. */
export async function setUpEncryption(
    site: Site,
    account: Account,
    encryptedRooms: readonly string[],
): Promise<ExpectedEncryption> {
    const [device] = account.devices;
    if (device === undefined) throw new Error("every account has a device");
    const own = (label: string): string => `${label}/${account.userId}`;
    const key = signingKey(`ed25519:${device.deviceId}`, site.chance.bytes(own("device"), 32));
    const signed = (object: JsonObject, ...keys: SigningKey[]): JsonObject => ({
        ...object,
        signatures: { [account.userId]: Object.fromEntries(keys.map((one) => [one.id, one.sign(object)])) },
    });
    const curve = (label: string): string => unpaddedBase64(site.chance.bytes(own(`curve25519/${label}`), 32));
    const deviceKeys = signed(
        {
            user_id: account.userId,
            device_id: device.deviceId,
            algorithms: ["m.olm.v1.curve25519-aes-sha2", "m.megolm.v1.aes-sha2"],
            keys: { [`curve25519:${device.deviceId}`]: curve("identity"), [key.id]: key.publicKey },
        },
        key,
    );
    const oneTime = Array.from({ length: oneTimeKeys }, (_, index): [string, JsonObject] => [
        `signed_curve25519:AAAA${String(index).padStart(2, "0")}`,
        signed({ key: curve(`one-time/${index}`) }, key),
    ]);
    await account.client.post(
        "/_matrix/client/v3/keys/upload",
        {
            device_keys: deviceKeys,
            one_time_keys: Object.fromEntries(oneTime),
            fallback_keys: { "signed_curve25519:FALLBACK": signed({ key: curve("fallback"), fallback: true }, key) },
        },
        uploaded,
    );
    const crossSigning = await setUpCrossSigning(site, account, deviceKeys, device.deviceId);
    const backup = account.index % 2 === 0 ? await backUpKeys(site, account, encryptedRooms, key) : undefined;
    return {
        deviceKeys: crossSigning.deviceKeys,
        masterKey: crossSigning.masterKey,
        selfSigningKey: crossSigning.selfSigningKey,
        userSigningKey: crossSigning.userSigningKey,
        oneTimeKeyCounts: {},
        unusedFallbackKeyTypes: ["signed_curve25519"],
        ...(backup === undefined ? {} : { backup }),
    };
}

/** Takes a one-time key of another user's first device, as starting an encrypted conversation does. */
export async function claimOneTimeKey(by: Account, of: Account): Promise<void> {
    const [device] = of.devices;
    if (device === undefined) throw new Error("every account has a device");
    await by.client.post(
        "/_matrix/client/v3/keys/claim",
        { one_time_keys: { [of.userId]: { [device.deviceId]: "signed_curve25519" } } },
        nothing,
    );
}

/** How many one-time keys the server still has for the first device, by algorithm. */
export async function oneTimeKeyCounts(account: Account): Promise<Record<string, number>> {
    return (await account.client.post("/_matrix/client/v3/keys/upload", {}, uploaded)).one_time_key_counts;
}

async function setUpCrossSigning(
    site: Site,
    account: Account,
    deviceKeys: JsonObject,
    deviceId: string,
): Promise<Pick<ExpectedEncryption, "deviceKeys" | "masterKey" | "selfSigningKey" | "userSigningKey">> {
    const keyOf = (usage: string): SigningKey => {
        const seed = site.chance.bytes(`${usage}/${account.userId}`, 32);
        return signingKey(`ed25519:${signingKey("ed25519:_", seed).publicKey}`, seed);
    };
    const [master, selfSigning, userSigning] = [keyOf("master"), keyOf("self_signing"), keyOf("user_signing")];
    const published = (usage: string, key: SigningKey): JsonObject => ({
        user_id: account.userId,
        usage: [usage],
        keys: { [key.id]: key.publicKey },
    });
    const byMaster = (object: JsonObject): JsonObject => ({
        ...object,
        signatures: { [account.userId]: { [master.id]: master.sign(object) } },
    });
    const masterKey = published("master", master);
    const selfSigningKey = byMaster(published("self_signing", selfSigning));
    const userSigningKey = byMaster(published("user_signing", userSigning));
    await account.client.post(
        "/_matrix/client/v3/keys/device_signing/upload",
        {
            master_key: masterKey,
            self_signing_key: selfSigningKey,
            user_signing_key: userSigningKey,
            // Older servers ask for the password also when there are no keys yet that would be replaced.
            auth: {
                type: "m.login.password",
                identifier: { type: "m.id.user", user: account.userId },
                password: account.password,
            },
        },
        nothing,
    );
    const { signatures, ...unsigned } = deviceKeys;
    const signature = { [selfSigning.id]: selfSigning.sign(unsigned) };
    const withBoth = {
        ...unsigned,
        signatures: { [account.userId]: { ...signaturesOf(signatures, account.userId), ...signature } },
    };
    const answer = await account.client.post(
        "/_matrix/client/v3/keys/signatures/upload",
        { [account.userId]: { [deviceId]: { ...unsigned, signatures: { [account.userId]: signature } } } },
        z.object({ failures: jsonObject.default({}) }),
    );
    if (Object.keys(answer.failures).length > 0) {
        throw new Error(`the server refused the cross-signing of a device: ${JSON.stringify(answer.failures)}`);
    }
    return { deviceKeys: withBoth, masterKey, selfSigningKey, userSigningKey };
}

function signaturesOf(signatures: unknown, userId: string): JsonObject {
    return jsonObject.parse(jsonObject.parse(signatures)[userId]);
}

async function backUpKeys(
    site: Site,
    account: Account,
    roomIds: readonly string[],
    key: SigningKey,
): Promise<NonNullable<ExpectedEncryption["backup"]>> {
    const base64 = (label: string, bytes: number): string =>
        unpaddedBase64(site.chance.stream(`backup/${account.userId}/${label}`, bytes));
    const backupKey = { public_key: base64("key", 32) };
    const { version: id } = await account.client.post(
        "/_matrix/client/v3/room_keys/version",
        {
            algorithm: "m.megolm_backup.v1.curve25519-aes-sha2",
            auth_data: { ...backupKey, signatures: { [account.userId]: { [key.id]: key.sign(backupKey) } } },
        },
        version,
    );
    const session = (label: string): JsonObject => ({
        first_message_index: 0,
        forwarded_count: 0,
        is_verified: true,
        session_data: {
            ephemeral: base64(`${label}/e`, 32),
            ciphertext: base64(`${label}/c`, 200),
            mac: base64(label, 8),
        },
    });
    const rooms = Object.fromEntries(
        roomIds.map((roomId) => {
            const sessions = Array.from({ length: backedUpSessions }, (_, index): [string, JsonObject] => [
                base64(`${roomId}/${index}/id`, 32),
                session(`${roomId}/${index}`),
            ]);
            return [roomId, { sessions: Object.fromEntries(sessions) }];
        }),
    );
    await account.client.put("/_matrix/client/v3/room_keys/keys", { rooms }, z.object({ count: z.number() }), {
        version: id,
    });
    const state = await account.client.get(matrixPath`/_matrix/client/v3/room_keys/version/${id}`, backupState);
    return { version: id, authData: state.auth_data, count: roomIds.length * backedUpSessions, rooms };
}
