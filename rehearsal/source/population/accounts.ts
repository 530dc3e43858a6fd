/** Users with passwords, devices, names and faces; one who has left; and a guest. */
import { createHmac } from "node:crypto";
import { z } from "zod";
import type { Account, Site } from "./site.ts";
import { matrixPath, type JsonObject } from "../matrixClient.ts";
import { inParallel } from "./parallel.ts";
import { uploadFile } from "./mediaFiles.ts";
import { png } from "./png.ts";

export const nothing = z.object({});
const login = z.object({ user_id: z.string(), device_id: z.string(), access_token: z.string() });
const guest = z.object({ user_id: z.string(), access_token: z.string() });
const nonce = z.object({ nonce: z.string() });

const names = [
    "Ada",
    "Борис",
    "Chloé",
    "Δήμητρα",
    "Émile 🦊",
    "فاطمة",
    "晴子",
    "Hüseyin \\o/",
    'Ivy "the" Quote',
    "Jürgen",
];

/** Registers users with the registration shared secret, logs them in, and gives them names and avatars. */
export async function registerAccounts(site: Site, count: number): Promise<Account[]> {
    return inParallel(
        Array.from({ length: count }, (_, index) => index),
        (index) => registerAccount(site, index, `user${String(index).padStart(3, "0")}`),
    );
}

/** A user of any name. Every third has a second device. */
export async function registerAccount(site: Site, index: number, localpart: string): Promise<Account> {
    const { chance, client } = site;
    // Not ASCII only, and with a character that Synapse normalises (NFKC), as both must come out the same on the target.
    const password = `pa ss\\wörd-ﬁ-${chance.word(`password/${localpart}`, 12)}`;
    await register(site, localpart, password);
    const deviceNames = index % 3 === 0 ? ["Element on Linux", "Phone 📱"] : ["Element on Linux"];
    const devices = await Promise.all(
        deviceNames.map(async (displayName, number) => {
            const answer = await client.post(
                "/_matrix/client/v3/login",
                {
                    type: "m.login.password",
                    identifier: { type: "m.id.user", user: localpart },
                    password,
                    device_id: `DEVICE${chance.word(`device/${localpart}/${number}`, 6).toUpperCase()}`,
                    initial_device_display_name: displayName,
                },
                login,
            );
            return { deviceId: answer.device_id, displayName, accessToken: answer.access_token };
        }),
    );
    const [first] = devices;
    if (first === undefined) throw new Error("every account has a device");
    const as = client.as(first.accessToken);
    const userId = `@${localpart}:${site.serverName}`;
    const displayName = `${names[index % names.length] ?? ""} ${index}`;
    const avatar = await uploadFile(as, {
        name: `avatar ${index}.png`,
        type: "image/png",
        bytes: png(64, 64, index * 37),
    });
    await as.put(matrixPath`/_matrix/client/v3/profile/${userId}/displayname`, { displayname: displayName }, nothing);
    await as.put(matrixPath`/_matrix/client/v3/profile/${userId}/avatar_url`, { avatar_url: avatar.mxc }, nothing);
    return { index, userId, password, displayName, avatar, devices, client: as };
}

/** Deactivates an account through its own device. Its rooms are left in the background by the server. */
export async function deactivate(account: Account): Promise<void> {
    const auth: JsonObject = {
        type: "m.login.password",
        identifier: { type: "m.id.user", user: account.userId },
        password: account.password,
    };
    await account.client.post("/_matrix/client/v3/account/deactivate", { auth, erase: false }, nothing);
}

/** A guest, whose token is a macaroon: the only proof of the macaroon secret. */
export async function registerGuest(site: Site): Promise<{ userId: string; accessToken: string }> {
    const answer = await site.client.post("/_matrix/client/v3/register?kind=guest", {}, guest);
    return { userId: answer.user_id, accessToken: answer.access_token };
}

/** An account and its password, nothing else: by the registration shared secret. */
export async function register(site: Site, localpart: string, password: string): Promise<void> {
    const path = "/_synapse/admin/v1/register";
    const { nonce: once } = await site.client.get(path, nonce);
    const mac = createHmac("sha1", site.registrationSharedSecret)
        .update([once, localpart, password, "notadmin"].join("\0"))
        .digest("hex");
    await site.client.post(
        path,
        { nonce: once, username: localpart, password, admin: false, inhibit_login: true, mac },
        nothing,
    );
}
