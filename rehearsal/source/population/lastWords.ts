/** What is put in last: keys and settings of every user, and messages that nobody has fetched when the server moves. */
import { z } from "zod";
import type { ExpectedUser } from "../expectations.ts";
import { matrixPath, type JsonObject } from "../matrixClient.ts";
import type { Account, Site } from "./site.ts";
import { nothing } from "./accounts.ts";
import type { Conversation } from "./conversation.ts";
import { claimOneTimeKey, oneTimeKeyCounts, setUpEncryption } from "./encryption.ts";
import { inParallel } from "./parallel.ts";
import { addPusher, makeSettings } from "./settings.ts";

/** So many messages of each room are left to be found by a sync that starts at an old token. */
export const lateMessages = 4;

/** An account with all that it has but what it has not fetched yet. */
interface Settled {
    readonly account: Account;
    readonly user: Omit<ExpectedUser, "sync" | "pushers">;
}

const nextBatch = z.object({ next_batch: z.string() });

/** Sets up keys and settings, then starts encrypted conversations: each user claims a key of the next. */
export async function settle(
    site: Site,
    accounts: readonly Account[],
    conversations: readonly Conversation[],
): Promise<Settled[]> {
    const settled = await inParallel(accounts, async (account) => {
        const rooms = conversations.filter(({ room }) => room.members.includes(account)).map(({ room }) => room);
        const encrypted = rooms.filter(({ kind }) => kind === "encrypted").map(({ roomId }) => roomId);
        const encryption = await setUpEncryption(site, account, encrypted);
        const settings = await makeSettings(account, rooms.map(({ roomId }) => roomId).sort());
        return { account, encryption, settings };
    });
    for (const [index, account] of accounts.entries()) {
        const next = accounts[(index + 1) % accounts.length];
        if (next !== undefined) await claimOneTimeKey(account, next);
    }
    return inParallel(settled, async ({ account, encryption, settings }) => ({
        account,
        user: {
            userId: account.userId,
            password: account.password,
            displayName: account.displayName,
            avatar: account.avatar.mxc,
            devices: [...account.devices],
            ...settings,
            encryption: { ...encryption, oneTimeKeyCounts: await oneTimeKeyCounts(account) },
        },
    }));
}

/** Remembers where everybody has read to, then has them write on: in rooms and from device to device. */
export async function leaveMessages(
    site: Site,
    settled: readonly Settled[],
    conversations: readonly Conversation[],
): Promise<ExpectedUser[]> {
    const tokens = await inParallel(settled, ({ account }) => syncToken(account));
    const open = conversations.filter(({ room }) => room.kind !== "upgraded");
    const before = new Map(open.map((conversation) => [conversation, conversation.said.length]));
    await inParallel(open, async (conversation) => {
        await conversation.say(lateMessages);
        await conversation.read();
    });
    return inParallel(settled, async ({ account, user }, index) => {
        const sender = settled[(index + 1) % settled.length]?.account ?? account;
        const mine = open.filter(({ room }) => room.members.includes(account));
        const events = mine.map((conversation): [string, string[]] => [
            conversation.room.roomId,
            conversation.said.slice(before.get(conversation)).map(({ eventId }) => eventId),
        ]);
        const since = tokens[index] ?? "";
        const toDevice = await sendToDevice(site, sender, account);
        const pushers = index < 2 ? [await addPusher(account)] : [];
        return { ...user, pushers, sync: { since, events: Object.fromEntries(events), toDevice } };
    });
}

async function syncToken(account: Account): Promise<string> {
    const filter = JSON.stringify({ room: { timeline: { limit: 1 } } });
    return (await account.client.get("/_matrix/client/v3/sync", nextBatch, { timeout: 0, filter })).next_batch;
}

async function sendToDevice(site: Site, from: Account, to: Account): Promise<JsonObject[]> {
    const device = to.devices[0]?.deviceId ?? "";
    const contents = [0, 1].map((number) => ({
        algorithm: "m.olm.v1.curve25519-aes-sha2",
        ciphertext: {
            [`key${number}`]: { type: number, body: site.chance.word(`to-device/${to.userId}/${number}`, 64) },
        },
    }));
    for (const [number, content] of contents.entries()) {
        await from.client.put(
            matrixPath`/_matrix/client/v3/sendToDevice/m.room.encrypted/${`${to.userId} ${number}`}`,
            { messages: { [to.userId]: { [device]: content } } },
            nothing,
        );
    }
    return contents;
}
