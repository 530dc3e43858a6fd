/** What users keep on their server for themselves: account data, tags, push rules, filters, pushers. */
import { z } from "zod";
import type { ExpectedUser } from "../expectations.ts";
import { jsonObject, matrixPath, type JsonObject } from "../matrixClient.ts";
import type { Account } from "./site.ts";
import { nothing } from "./accounts.ts";
import { trickyTexts } from "./trickyText.ts";

export type Settings = Pick<ExpectedUser, "accountData" | "tags" | "roomAccountData" | "pushRules" | "filter">;

/** @param rooms  ids of rooms the account is in; the first ones get tags and account data */
export async function makeSettings(account: Account, rooms: readonly string[]): Promise<Settings> {
    const { client, userId, index } = account;
    const text = trickyTexts[index % trickyTexts.length] ?? "";
    const accountData: Record<string, JsonObject> = {
        "m.direct": { [userId]: rooms.slice(0, 2) },
        "test.rehearsal.settings": { index, text, nested: { empty: {}, list: [1, "2", null, true] } },
    };
    for (const [type, content] of Object.entries(accountData)) {
        await client.put(matrixPath`/_matrix/client/v3/user/${userId}/account_data/${type}`, content, nothing);
    }
    const tags: Settings["tags"] = {};
    const roomAccountData: Settings["roomAccountData"] = {};
    for (const [number, roomId] of rooms.slice(0, 3).entries()) {
        const tag = number === 0 ? "m.favourite" : `u.étiquette ${number}`;
        tags[roomId] = { [tag]: { order: number / 10 } };
        roomAccountData[roomId] = { "test.rehearsal.note": { text } };
        const room = matrixPath`/_matrix/client/v3/user/${userId}/rooms/${roomId}`;
        await client.put(`${room}${matrixPath`/tags/${tag}`}`, { order: number / 10 }, nothing);
        await client.put(`${room}/account_data/test.rehearsal.note`, { text }, nothing);
    }
    return { accountData, tags, roomAccountData, ...(await makeRules(account)) };
}

async function makeRules({ client, userId, index }: Account): Promise<Pick<Settings, "pushRules" | "filter">> {
    await client.put(
        matrixPath`/_matrix/client/v3/pushrules/global/content/${`word ${index}`}`,
        { pattern: `wörd${index}*`, actions: ["notify", { set_tweak: "sound", value: "default" }] },
        nothing,
    );
    await client.put(
        "/_matrix/client/v3/pushrules/global/override/.m.rule.suppress_notices/enabled",
        { enabled: index % 2 === 0 },
        nothing,
    );
    const pushRules = await client.get("/_matrix/client/v3/pushrules/", jsonObject);
    const content = { room: { timeline: { limit: 10 + index, types: ["m.room.*"] } } };
    const { filter_id: id } = await client.post(
        matrixPath`/_matrix/client/v3/user/${userId}/filter`,
        content,
        z.object({ filter_id: z.string() }),
    );
    return { pushRules, filter: { id, content } };
}

/**
 * Adds a pusher to an address that nobody can have: Synapse does not push to loopback. To be called when no more messages
 * are sent, as each would be tried.
 *
 * @returns its push key
 */
export async function addPusher({ client, index }: Account): Promise<string> {
    const pushkey = `pushkey+/=${index}`;
    await client.post(
        "/_matrix/client/v3/pushers/set",
        {
            app_id: "test.rehearsal.app",
            app_display_name: "Rehearsal",
            device_display_name: "Phone 📱",
            kind: "http",
            lang: "en",
            pushkey,
            data: { url: "http://127.0.0.1:9/_matrix/push/v1/notify", format: "event_id_only" },
        },
        nothing,
    );
    return pushkey;
}
