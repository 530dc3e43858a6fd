/** Whether users are who they were: passwords, tokens, devices, profiles, and what they keep for themselves. */
import { z } from "zod";
import type { ExpectedUser } from "../source/expectations.ts";
import { jsonObject, matrixPath, MatrixError, type MatrixClient } from "../source/matrixClient.ts";
import { asUser, differs, forEach, type Checked, type HomeserverCheck } from "./outcome.ts";

const login = z.object({ user_id: z.string(), access_token: z.string() });
const whoami = z.object({
    user_id: z.string(),
    device_id: z.string().optional(),
    is_guest: z.boolean().default(false),
});
const devices = z.object({
    devices: z.array(z.object({ device_id: z.string(), display_name: z.string().nullish() })),
});
/** bcrypt looks at no more: longer passwords do not prove the pepper. */
const bcryptBytes = 72;
const nothing = z.object({});

/** A check that asks about every user, as their first device. */
const perUser = (
    name: string,
    ask: (user: ExpectedUser, client: MatrixClient, checked: Checked) => Promise<readonly string[]>,
): HomeserverCheck => ({
    name,
    run: (checked) =>
        forEach(
            "users",
            checked.expected.users,
            ({ userId }) => userId,
            (user) => ask(user, asUser(checked, user.userId), checked),
        ),
});

export const accountChecks: readonly HomeserverCheck[] = [
    perUser("devices", async (user, client) => {
        const found = await client.get("/_matrix/client/v3/devices", devices);
        const names = new Map(found.devices.map((device) => [device.device_id, device.display_name]));
        return user.devices.flatMap(({ deviceId, displayName }) =>
            differs(`name of device ${deviceId}`, names.get(deviceId), displayName),
        );
    }),
    {
        name: "access tokens made before",
        run: ({ client, expected }) =>
            forEach(
                "devices",
                expected.users.flatMap((user) => user.devices.map((device) => ({ ...device, userId: user.userId }))),
                ({ userId, deviceId }) => `${userId} ${deviceId}`,
                async ({ userId, deviceId, accessToken }) => {
                    const me = await client.as(accessToken).get("/_matrix/client/v3/account/whoami", whoami);
                    return [...differs("user", me.user_id, userId), ...differs("device", me.device_id, deviceId)];
                },
            ),
    },
    perUser("passwords, and the pepper in them", async (user, _, { client, expected }) => {
        const bytes = Buffer.byteLength(user.password.normalize("NFKC")) + expected.pepperBytes;
        const weak = bytes < bcryptBytes ? [] : [`password and pepper are ${bytes} bytes long: they prove no pepper`];
        return [...weak, ...(await passwordProblems(client, user.userId, user.password))];
    }),
    {
        name: "a guest's token made before, and the macaroon secret in it",
        run: ({ client, expected: { guest } }) =>
            forEach(
                "guests",
                [guest],
                ({ userId }) => userId,
                async ({ userId, accessToken }) => {
                    const me = await client.as(accessToken).get("/_matrix/client/v3/account/whoami", whoami);
                    return [...differs("user", me.user_id, userId), ...(me.is_guest ? [] : ["it is no guest"])];
                },
            ),
    },
    {
        name: "a deactivated user stays out",
        run: ({ client, expected: { deactivated } }) =>
            forEach(
                "users",
                [deactivated],
                ({ userId }) => userId,
                async ({ userId, password }) =>
                    (await isRefused(client, userId, password)) ? [] : ["its password is accepted"],
            ),
    },
    perUser("profiles", async (user, client) => {
        const path = matrixPath`/_matrix/client/v3/profile/${user.userId}`;
        const profile = await client.get(path, z.object({ displayname: z.string(), avatar_url: z.string() }));
        return [
            ...differs("display name", profile.displayname, user.displayName),
            ...differs("avatar", profile.avatar_url, user.avatar),
        ];
    }),
    perUser("account data and tags", async (user, client) => {
        const base = matrixPath`/_matrix/client/v3/user/${user.userId}`;
        const problems: string[] = [];
        for (const [type, content] of Object.entries(user.accountData)) {
            const found = await client.get(`${base}${matrixPath`/account_data/${type}`}`, jsonObject);
            problems.push(...differs(`account data ${type}`, found, content));
        }
        for (const [roomId, types] of Object.entries(user.roomAccountData)) {
            for (const [type, content] of Object.entries(types)) {
                const path = `${base}${matrixPath`/rooms/${roomId}/account_data/${type}`}`;
                problems.push(...differs(`${type} of ${roomId}`, await client.get(path, jsonObject), content));
            }
        }
        for (const [roomId, tags] of Object.entries(user.tags)) {
            const found = await client.get(
                `${base}${matrixPath`/rooms/${roomId}/tags`}`,
                z.object({ tags: jsonObject }),
            );
            problems.push(...differs(`tags of ${roomId}`, found.tags, tags));
        }
        return problems;
    }),
    perUser("push rules, pushers and filters", async (user, client) => {
        const rules = await client.get("/_matrix/client/v3/pushrules/", jsonObject);
        const { pushers } = await client.get(
            "/_matrix/client/v3/pushers",
            z.object({ pushers: z.array(z.object({ pushkey: z.string() })) }),
        );
        const path = matrixPath`/_matrix/client/v3/user/${user.userId}/filter/${user.filter.id}`;
        return [
            ...differs("push rules", rules, user.pushRules),
            ...differs(
                "pushers",
                pushers.map(({ pushkey }) => pushkey),
                user.pushers,
            ),
            ...differs("filter", await client.get(path, jsonObject), user.filter.content),
        ];
    }),
];

/** Logs in, looks who it became, and out again; a wrong password must not do. */
async function passwordProblems(client: MatrixClient, userId: string, password: string): Promise<string[]> {
    const answer = await client.post("/_matrix/client/v3/login", credentials(userId, password), login);
    await client.as(answer.access_token).post("/_matrix/client/v3/logout", {}, nothing);
    const wrong = (await isRefused(client, userId, `${password}!`)) ? [] : ["a wrong password is accepted, too"];
    return [...differs("user", answer.user_id, userId), ...wrong];
}

async function isRefused(client: MatrixClient, userId: string, password: string): Promise<boolean> {
    try {
        await client.post("/_matrix/client/v3/login", credentials(userId, password), login);
        return false;
    } catch (error) {
        if (error instanceof MatrixError && error.status === 403) return true;
        throw error;
    }
}

const credentials = (user: string, password: string): object => ({
    type: "m.login.password",
    identifier: { type: "m.id.user", user },
    password,
});
