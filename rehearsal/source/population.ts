/** Fills a homeserver through its public APIs with all that a migration must not lose. */
import { z } from "zod";
import { MigrationError } from "../../engine/run/errors.ts";
import type { Progress } from "../../engine/run/progress.ts";
import { until } from "../../engine/run/until.ts";
import { sortedJson } from "./sortedJson.ts";
import type { ExpectedEvent, ExpectedMedia, Expectations, ExpectedRoom } from "./expectations.ts";
import { readHistory, readState } from "./history.ts";
import type { HomeserverIdentity } from "./identity.ts";
import { matrixPath, MatrixClient, type JsonObject } from "./matrixClient.ts";
import type { Site } from "./population/site.ts";
import { deactivate, registerAccount, registerAccounts, registerGuest } from "./population/accounts.ts";
import { Conversation } from "./population/conversation.ts";
import { lateMessages, leaveMessages, settle } from "./population/lastWords.ts";
import { uploadMedia } from "./population/mediaFiles.ts";
import { inParallel } from "./population/parallel.ts";
import { Chance } from "./population/random.ts";
import { join, makeRooms, upgradeRoom, type Room } from "./population/rooms.ts";

const leaveSeconds = 30;
const pollMilliseconds = 50;

/** A running homeserver, wherever it is. */
export interface FilledHomeserver {
    readonly serverName: string;
    /** Without a final slash. */
    readonly baseUrl: string;
    readonly files: Omit<HomeserverIdentity, "macaroonSecretKey">;
}

export interface PopulationArgs {
    readonly homeserver: FilledHomeserver;
    /** At least 2. */
    readonly users: number;
    /** At least 1; 4 for one of each kind. */
    readonly rooms: number;
    /** Over all rooms. */
    readonly messages: number;
    /** Texts, passwords and keys are the same for the same seed; what the server makes up is not. */
    readonly seed: string;
    readonly progress: Progress;
    readonly signal?: AbortSignal;
}

/**
 * Registers users, has them talk, and returns what must be found on the target.
 *
 * @throws MatrixError when the server refuses something
 * @throws MigrationError SM-E1190 when it does not hold what was sent to it
 */
export async function populate(args: PopulationArgs): Promise<Expectations> {
    const { homeserver, progress } = args;
    const site: Site = {
        serverName: homeserver.serverName,
        client: new MatrixClient(homeserver.baseUrl, args.signal === undefined ? {} : { signal: args.signal }),
        chance: new Chance(args.seed),
        registrationSharedSecret: homeserver.files.registrationSharedSecret,
    };
    const accounts = await progress.during(`registering ${args.users} users`, () => registerAccounts(site, args.users));
    const media = await progress.during("uploading media", () => uploadMedia(site, accounts));
    const made = await progress.during(`making ${args.rooms} rooms`, () => makeRooms(site, accounts, args.rooms));
    const deactivated = await letSomebodyLeave(site, made);
    const guest = await registerGuest(site);
    const conversations = await converse(site, made, media, args);
    const needle = await sayNeedle(site, conversations);
    const settled = await progress.during("setting up keys, backups and settings", () =>
        settle(site, accounts, conversations),
    );
    const users = await progress.during("leaving messages to be found", () =>
        leaveMessages(site, settled, conversations),
    );
    const rooms = await progress.during("reading back what was put in", () => inParallel(conversations, readBack));
    return {
        serverName: site.serverName,
        verifyKeys: { ...homeserver.files.verifyKeys },
        oldVerifyKeys: Object.fromEntries(
            Object.entries(homeserver.files.oldVerifyKeys).map(([id, { key }]) => [id, key]),
        ),
        pepperBytes: Buffer.byteLength(homeserver.files.pepper),
        users,
        deactivated,
        guest,
        rooms,
        media: [...media, ...accounts.map((account) => account.avatar)],
        needle,
    };
}

/** Somebody joins the public rooms and is then deactivated; waits until the server has made them leave. */
async function letSomebodyLeave(site: Site, rooms: readonly Room[]): Promise<Expectations["deactivated"]> {
    const leaver = await registerAccount(site, 0, "leaver");
    const open = rooms.filter((room) => room.kind === "public");
    for (const room of open) await join(room.roomId, leaver);
    await deactivate(leaver);
    const end = performance.now() + leaveSeconds * 1000;
    for (const { roomId, members } of open) {
        const path = matrixPath`/_matrix/client/v3/rooms/${roomId}/state/m.room.member/${leaver.userId}`;
        await until(
            async () => {
                const member = await members[0]?.client.get(path, z.object({ membership: z.string() }));
                return member?.membership === "leave" || undefined;
            },
            { seconds: (end - performance.now()) / 1000, everyMilliseconds: pollMilliseconds },
            () => notMade(roomId, `${leaver.userId} had not left ${leaveSeconds} s after being deactivated`),
        );
    }
    return { userId: leaver.userId, password: leaver.password };
}

/** Says almost all messages. Half-way, rooms that are to be upgraded are. */
async function converse(
    site: Site,
    rooms: readonly Room[],
    media: readonly ExpectedMedia[],
    { messages, progress }: PopulationArgs,
): Promise<Conversation[]> {
    const conversations: Conversation[] = [];
    const begin = (room: Room): Conversation => {
        const conversation = new Conversation(site, room, media);
        conversations.push(conversation);
        return conversation;
    };
    const each = Math.max(Math.ceil(messages / rooms.length) - lateMessages, 2);
    await progress.during(
        `saying ${messages} messages`,
        async () => {
            await inParallel(rooms, async (room) => {
                const first = begin(room);
                await first.say(room.kind === "upgraded" ? Math.ceil(each / 2) : each);
                await first.read();
                if (room.kind === "upgraded") await begin(await upgradeRoom(room)).say(Math.floor(each / 2));
            });
        },
        () => `${conversations.reduce((sum, { said }) => sum + said.length, 0)} said`,
    );
    return conversations;
}

/** One message with a word that no other has, to be found by a search. */
async function sayNeedle(site: Site, conversations: readonly Conversation[]): Promise<Expectations["needle"]> {
    const conversation = conversations.find(({ room }) => room.kind === "public" || room.kind === "private");
    const by = conversation?.room.members[0];
    if (conversation === undefined || by === undefined) throw new RangeError("a population has a public room");
    const word = `needle${site.chance.word("needle", 12)}`;
    const { eventId } = await conversation.sayText(by, `a ${word} in a haystack`);
    return { word, userId: by.userId, eventId };
}

/** Compares what the server holds with what was sent to it, and keeps what it has added. */
async function readBack({ room, said, receipts }: Conversation): Promise<ExpectedRoom> {
    const [reader] = room.members;
    if (reader === undefined) throw new Error("every room has a creator");
    const events = await readHistory(reader.client, room.roomId);
    const held = new Map(events.map((event) => [event.eventId, event]));
    for (const { eventId, content, redacted, by } of said) {
        const event = held.get(eventId);
        if (event?.sender !== by.userId || event.redacted !== redacted || !(redacted || holds(event, content))) {
            throw notMade(room.roomId, `event ${eventId} is not as it was sent`);
        }
    }
    const { roomId, kind, name } = room;
    const alias = room.alias === undefined ? {} : { alias: room.alias };
    const state = await readState(reader.client, roomId);
    return { roomId, kind, name, ...alias, reader: reader.userId, events, state, receipts };
}

/** Room version 11 moves `redacts` into the content, so that more may be held than was sent. */
function holds(event: ExpectedEvent, content: JsonObject): boolean {
    const common = Object.fromEntries(Object.keys(content).map((name) => [name, event.content[name]]));
    return sortedJson(common) === sortedJson(content);
}

function notMade(where: string, found: string): MigrationError {
    return new MigrationError("SM-E1190", { where, found, changed: "only the rehearsal's own homeserver" });
}
