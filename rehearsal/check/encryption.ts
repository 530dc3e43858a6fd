/** Whether end-to-end encryption goes on: device keys, cross-signing, one-time keys, backups. */
import { z } from "zod";
import { jsonObject, matrixPath } from "../source/matrixClient.ts";
import { asUser, differs, forEach, type HomeserverCheck } from "./outcome.ts";

/** The server adds `unsigned`, which is not part of a key. */
const key = jsonObject.transform((object) =>
    Object.fromEntries(Object.entries(object).filter(([name]) => name !== "unsigned")),
);
const queried = z.object({
    device_keys: z.record(z.string(), z.record(z.string(), key)),
    master_keys: z.record(z.string(), key).default({}),
    self_signing_keys: z.record(z.string(), key).default({}),
    user_signing_keys: z.record(z.string(), key).default({}),
});
const counted = z.object({ one_time_key_counts: z.record(z.string(), z.number()) });
const synced = z.object({ device_unused_fallback_key_types: z.array(z.string()).default([]) });
const backupVersion = z.object({ version: z.string(), count: z.number(), auth_data: jsonObject });

export const encryptionChecks: readonly HomeserverCheck[] = [
    {
        name: "device keys and cross-signing keys",
        run: (checked) =>
            forEach(
                "users",
                checked.expected.users,
                ({ userId }) => userId,
                async ({ userId, devices, encryption }) => {
                    const client = asUser(checked, userId);
                    const body = { device_keys: { [userId]: [] } };
                    const found = await client.post("/_matrix/client/v3/keys/query", body, queried);
                    const device = found.device_keys[userId]?.[devices[0]?.deviceId ?? ""];
                    return [
                        ...differs("device keys", device, encryption.deviceKeys),
                        ...differs("master key", found.master_keys[userId], encryption.masterKey),
                        ...differs("self-signing key", found.self_signing_keys[userId], encryption.selfSigningKey),
                        ...differs("user-signing key", found.user_signing_keys[userId], encryption.userSigningKey),
                    ];
                },
            ),
    },
    {
        name: "one-time keys and fallback keys",
        run: (checked) =>
            forEach(
                "users",
                checked.expected.users,
                ({ userId }) => userId,
                async ({ userId, encryption }) => {
                    const client = asUser(checked, userId);
                    const { one_time_key_counts: counts } = await client.post(
                        "/_matrix/client/v3/keys/upload",
                        {},
                        counted,
                    );
                    const filter = JSON.stringify({ room: { rooms: [] } });
                    const { device_unused_fallback_key_types: unused } = await client.get(
                        "/_matrix/client/v3/sync",
                        synced,
                        { timeout: 0, filter },
                    );
                    return [
                        ...differs("counts of one-time keys", counts, encryption.oneTimeKeyCounts),
                        ...differs("unused fallback keys", unused, encryption.unusedFallbackKeyTypes),
                    ];
                },
            ),
    },
    {
        name: "key backups",
        run: (checked) =>
            forEach(
                "backups",
                checked.expected.users.flatMap(({ userId, encryption: { backup } }) =>
                    backup === undefined ? [] : [{ userId, backup }],
                ),
                ({ userId }) => userId,
                async ({ userId, backup }) => {
                    const client = asUser(checked, userId);
                    const latest = await client.get("/_matrix/client/v3/room_keys/version", backupVersion);
                    const path = matrixPath`/_matrix/client/v3/room_keys/keys?version=${backup.version}`;
                    const { rooms } = await client.get(path, z.object({ rooms: jsonObject }));
                    return [
                        ...differs("version", latest.version, backup.version),
                        ...differs("count", latest.count, backup.count),
                        ...differs("public part", latest.auth_data, backup.authData),
                        ...differs("keys", rooms, backup.rooms),
                    ];
                },
            ),
    },
];
