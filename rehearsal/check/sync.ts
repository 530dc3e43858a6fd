/** Whether clients that come back with an old sync token miss anything. */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { ExpectedUser } from "../source/expectations.ts";
import { jsonObject, type MatrixClient } from "../source/matrixClient.ts";
import { asUser, differs, forEach, type HomeserverCheck } from "./outcome.ts";

const syncAnswer = z.object({
    next_batch: z.string(),
    rooms: z
        .object({
            join: z
                .record(
                    z.string(),
                    z.object({
                        timeline: z.object({
                            limited: z.boolean().default(false),
                            events: z.array(z.object({ event_id: z.string() })),
                        }),
                        ephemeral: z.object({ events: z.array(z.object({ type: z.string(), content: jsonObject })) }),
                    }),
                )
                .default({}),
        })
        .default({ join: {} }),
    to_device: z
        .object({ events: z.array(z.object({ type: z.string(), content: jsonObject })) })
        .default({ events: [] }),
});
type SyncAnswer = z.infer<typeof syncAnswer>;

const timelineEvents = 500;

export const syncChecks: readonly HomeserverCheck[] = [
    {
        name: "an old sync token has no gap, and to-device messages wait",
        run: (checked) =>
            forEach(
                "users",
                checked.expected.users,
                ({ userId }) => userId,
                async (user) => gapProblems(await syncFrom(asUser(checked, user.userId), user.sync.since), user),
            ),
    },
    {
        name: "read receipts",
        run: (checked) =>
            forEach(
                "rooms",
                checked.expected.rooms,
                ({ name }) => name,
                async (room) => {
                    const answer = await syncFrom(asUser(checked, room.reader), undefined, room.roomId);
                    const readers = receiptsOf(answer, room.roomId);
                    return Object.entries(room.receipts).flatMap(([userId, eventId]) =>
                        readers.has(`${userId} ${eventId}`) ? [] : [`${userId} has not read ${eventId}`],
                    );
                },
            ),
    },
];

/** A sync that does not wait. Without a token it is the first one of a device. */
export async function syncFrom(client: MatrixClient, since?: string, roomId?: string): Promise<SyncAnswer> {
    const room = {
        timeline: { limit: since === undefined ? 1 : timelineEvents },
        ...(roomId === undefined ? {} : { rooms: [roomId] }),
    };
    return client.get("/_matrix/client/v3/sync", syncAnswer, {
        timeout: 0,
        // Synapse keeps answers for two minutes, by token and filter: a filter that nobody has used gets a new one.
        filter: JSON.stringify({ room, presence: { not_senders: [`@${randomUUID()}:nobody`] } }),
        ...(since === undefined ? {} : { since }),
    });
}

function gapProblems(answer: SyncAnswer, user: ExpectedUser): string[] {
    const rooms = Object.entries(user.sync.events).flatMap(([roomId, events]) => {
        const timeline = answer.rooms.join[roomId]?.timeline;
        if (timeline === undefined) return [`${roomId} is missing`];
        const first = timeline.events.slice(0, events.length).map(({ event_id: eventId }) => eventId);
        return [...(timeline.limited ? [`${roomId} has a gap`] : []), ...differs(`events of ${roomId}`, first, events)];
    });
    const toDevice = answer.to_device.events.slice(0, user.sync.toDevice.length).map(({ content }) => content);
    return [...rooms, ...differs("to-device messages", toDevice, user.sync.toDevice)];
}

/** `<user> <event>` of every public read receipt. */
function receiptsOf(answer: SyncAnswer, roomId: string): Set<string> {
    const content = z.record(z.string(), z.record(z.string(), jsonObject));
    const events = answer.rooms.join[roomId]?.ephemeral.events ?? [];
    return new Set(
        events
            .filter(({ type }) => type === "m.receipt")
            .flatMap((event) => Object.entries(content.parse(event.content)))
            .flatMap(([eventId, receipts]) =>
                Object.keys(receipts["m.read"] ?? {}).map((userId) => `${userId} ${eventId}`),
            ),
    );
}
