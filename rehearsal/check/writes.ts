/** Whether the server can go on: new events, rooms, media and to-device messages reach those they are for. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import { readEvent } from "../source/history.ts";
import { matrixPath } from "../source/matrixClient.ts";
import { digest, download } from "../source/population/mediaFiles.ts";
import { asUser, differs, forEach, type Checked, type HomeserverCheck } from "./outcome.ts";
import { syncFrom } from "./sync.ts";

const sent = z.object({ event_id: z.string() });
const nothing = z.object({});

export const writeChecks: readonly HomeserverCheck[] = [
    {
        name: "a message in every old room",
        run: (checked) =>
            forEach(
                "rooms",
                // Only creators may write in rooms that have been replaced, and they are the readers.
                checked.expected.rooms,
                ({ name }) => name,
                (room) => messageProblems(checked, room.roomId, room.reader, room.reader),
            ),
    },
    {
        name: "a new room, an invitation, and a message in it",
        run: (checked) =>
            forEach("rooms", ["new"], String, async () => {
                const [one, other] = pair(checked);
                const [creator, guest] = [asUser(checked, one), asUser(checked, other)];
                const { room_id: roomId } = await creator.post(
                    "/_matrix/client/v3/createRoom",
                    { preset: "private_chat", name: "after the move", invite: [other] },
                    z.object({ room_id: z.string() }),
                );
                await guest.post(matrixPath`/_matrix/client/v3/rooms/${roomId}/join`, {}, nothing);
                return messageProblems(checked, roomId, one, other);
            }),
    },
    {
        name: "new media",
        run: (checked) =>
            forEach("files", ["new"], String, async () => {
                const bytes = Buffer.from(`uploaded ${randomUUID()}`);
                const client = asUser(checked, pair(checked)[0]);
                const mxc = await client.upload(bytes, "text/plain", "after the move.txt");
                return differs("sha-256", digest(await download(client, mxc)), digest(bytes));
            }),
    },
    {
        name: "a to-device message arrives",
        run: (checked) =>
            forEach("messages", ["new"], String, async () => {
                const [from, to] = pair(checked);
                const receiver = checked.expected.users.find(({ userId }) => userId === to);
                const mark = randomUUID();
                await asUser(checked, from).put(
                    matrixPath`/_matrix/client/v3/sendToDevice/test.rehearsal.mark/${mark}`,
                    { messages: { [to]: { [receiver?.devices[0]?.deviceId ?? ""]: { mark } } } },
                    nothing,
                );
                // From the old token: a younger one would tell the server that what came before it has arrived.
                const { to_device: arrived } = await syncFrom(asUser(checked, to), receiver?.sync.since);
                return arrived.events.some(({ content }) => content["mark"] === mark) ? [] : ["it did not arrive"];
            }),
    },
];

/** One user sends, another one reads it. */
async function messageProblems(checked: Checked, roomId: string, by: string, readBy: string): Promise<string[]> {
    const content = { msgtype: "m.text", body: `after the move: ${randomUUID()} \\N 🚚` };
    const path = matrixPath`/_matrix/client/v3/rooms/${roomId}/send/m.room.message/${randomUUID()}`;
    const { event_id: eventId } = await asUser(checked, by).put(path, content, sent);
    const event = await readEvent(asUser(checked, readBy), roomId, eventId);
    return [...differs("content", event.content, content), ...differs("sender", event.sender, by)];
}

/** The first two users. */
function pair({ expected }: Checked): [string, string] {
    const [one, other] = expected.users;
    if (one === undefined || other === undefined) throw new RangeError("two users are needed");
    return [one.userId, other.userId];
}
