/** Rooms: public, private, encrypted, and such as have been upgraded. */
import { z } from "zod";
import type { ExpectedRoom } from "../expectations.ts";
import { roomKinds } from "../expectations.ts";
import { jsonObject, matrixPath, type JsonObject, type MatrixClient } from "../matrixClient.ts";
import type { Account, Site } from "./site.ts";
import { nothing } from "./accounts.ts";
import { inParallel } from "./parallel.ts";

export interface Room {
    readonly index: number;
    readonly roomId: string;
    readonly kind: ExpectedRoom["kind"];
    readonly name: string;
    readonly alias?: string;
    /** The creator first. */
    readonly members: readonly Account[];
}

const roomCreated = z.object({ room_id: z.string() });
const largestMembership = 25;
const smallMembership = 4;
const versions = ["12", "11", "10", "9"] as const;

/** Makes rooms of all kinds in turn, and has their members join. */
export async function makeRooms(site: Site, accounts: readonly Account[], count: number): Promise<Room[]> {
    return inParallel(
        Array.from({ length: count }, (_, index) => index),
        (index) => makeRoom(site, accounts, index),
    );
}

/**
 * Replaces a room by one of the newest version; from 12 on its id looks different. Its members come along.
 *
 * @returns the new room; the old one stays, closed
 */
export async function upgradeRoom(room: Room): Promise<Room> {
    const [creator] = room.members;
    if (creator === undefined) throw new Error("every room has a creator");
    const { replacement_room: roomId } = await creator.client.post(
        matrixPath`/_matrix/client/v3/rooms/${room.roomId}/upgrade`,
        { new_version: (await supportedVersions(creator.client))[0] },
        z.object({ replacement_room: z.string() }),
    );
    await gather(roomId, creator, room.members.slice(1), true);
    return { index: room.index, roomId, kind: "private", name: room.name, members: room.members };
}

/** Of those that rooms are made in, newest first; an older server does not know all of them. */
async function supportedVersions(client: MatrixClient): Promise<readonly string[]> {
    const shape = z.object({
        capabilities: z.object({ "m.room_versions": z.object({ available: z.record(z.string(), z.string()) }) }),
    });
    const { capabilities } = await client.get("/_matrix/client/v3/capabilities", shape);
    return versions.filter((version) => version in capabilities["m.room_versions"].available);
}

async function makeRoom(site: Site, accounts: readonly Account[], index: number): Promise<Room> {
    const kind = roomKinds[index % roomKinds.length] ?? "public";
    const members = turn(accounts, index).slice(0, kind === "public" ? largestMembership : smallMembership);
    const [creator, ...others] = members;
    if (creator === undefined) throw new Error("every room has a creator");
    const supported = await supportedVersions(creator.client);
    const name = `${kind} room ${index} – „Größe“ \\o/ 🏠`;
    const { room_id: roomId } = await creator.client.post(
        "/_matrix/client/v3/createRoom",
        {
            name,
            topic: `What is said in room ${index}\nstays there.\\.`,
            room_version: kind === "upgraded" ? "10" : supported[Math.floor(index / 4) % supported.length],
            ...presets(kind, index),
        },
        roomCreated,
    );
    await gather(roomId, creator, others, kind !== "public");
    const avatar: JsonObject = { url: creator.avatar.mxc, info: { mimetype: "image/png", w: 64, h: 64 } };
    await creator.client.put(matrixPath`/_matrix/client/v3/rooms/${roomId}/state/m.room.avatar`, avatar, jsonObject);
    const alias = kind === "public" ? { alias: `#rehearsal-${index}:${site.serverName}` } : {};
    // An invitation that stays open when the server moves.
    const invited = turn(accounts, index)[smallMembership];
    if (kind === "private" && invited !== undefined) await invite(roomId, creator, invited);
    return { index, roomId, kind, name, members, ...alias };
}

function presets(kind: Room["kind"], index: number): JsonObject {
    if (kind === "public") {
        return { preset: "public_chat", visibility: "public", room_alias_name: `rehearsal-${index}` };
    }
    const encryption = { type: "m.room.encryption", state_key: "", content: { algorithm: "m.megolm.v1.aes-sha2" } };
    return { preset: "private_chat", ...(kind === "encrypted" ? { initial_state: [encryption] } : {}) };
}

/** One after the other: joins at the same time would fork the room's history, and its order would be chance. */
async function gather(roomId: string, creator: Account, others: readonly Account[], closed: boolean): Promise<void> {
    for (const other of others) {
        if (closed) await invite(roomId, creator, other);
        await join(roomId, other);
    }
}

/** Has an account join a room that it may join. */
export async function join(roomId: string, account: Account): Promise<void> {
    await account.client.post(matrixPath`/_matrix/client/v3/rooms/${roomId}/join`, {}, nothing);
}

async function invite(roomId: string, by: Account, account: Account): Promise<void> {
    const path = matrixPath`/_matrix/client/v3/rooms/${roomId}/invite`;
    await by.client.post(path, { user_id: account.userId }, nothing);
}

function turn<T>(items: readonly T[], by: number): T[] {
    const first = by % items.length;
    return [...items.slice(first), ...items.slice(0, first)];
}
