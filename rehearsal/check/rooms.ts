/** Whether rooms are what they were: every event, the current state, aliases, receipts, search. */
import { z } from "zod";
import type { ExpectedEvent, ExpectedRoom } from "../source/expectations.ts";
import { readEvent, readEventInContext, readHistory, readState } from "../source/history.ts";
import { matrixPath, type MatrixClient } from "../source/matrixClient.ts";
import { asUser, differs, forEach, type HomeserverCheck } from "./outcome.ts";

/** So many events of a room are asked for one by one as well, spread over its history. */
const singleEvents = 10;

const perRoom = (
    name: string,
    ask: (room: ExpectedRoom, reader: MatrixClient) => Promise<readonly string[]>,
): HomeserverCheck => ({
    name,
    run: (checked) =>
        forEach(
            "rooms",
            checked.expected.rooms,
            ({ name: room }) => room,
            (room) => ask(room, asUser(checked, room.reader)),
        ),
});

export const roomChecks: readonly HomeserverCheck[] = [
    {
        name: "the whole history of every room",
        run: async (checked) => {
            const outcome = await forEach(
                "rooms",
                checked.expected.rooms,
                ({ name }) => name,
                async (room) =>
                    historyProblems(await readHistory(asUser(checked, room.reader), room.roomId), room.events),
            );
            const events = checked.expected.rooms.reduce((sum, room) => sum + room.events.length, 0);
            return { ...outcome, seen: `${events} events of ${outcome.seen}` };
        },
    },
    perRoom("single events, alone and in their context", async (room, reader) => {
        const step = Math.max(Math.floor(room.events.length / singleEvents), 1);
        const problems: string[] = [];
        for (const event of room.events.filter((_, index) => index % step === 0)) {
            problems.push(
                ...differs(event.eventId, await readEvent(reader, room.roomId, event.eventId), event),
                ...differs(
                    `${event.eventId} in its context`,
                    await readEventInContext(reader, room.roomId, event.eventId),
                    event,
                ),
            );
        }
        return problems;
    }),
    perRoom("the current state of every room", async (room, reader) =>
        differs("state", await readState(reader, room.roomId), room.state),
    ),
    {
        name: "room aliases",
        run: ({ client, expected }) =>
            forEach(
                "aliases",
                expected.rooms.flatMap(({ alias, roomId }) => (alias === undefined ? [] : [{ alias, roomId }])),
                ({ alias }) => alias,
                async ({ alias, roomId }) => {
                    const path = matrixPath`/_matrix/client/v3/directory/room/${alias}`;
                    return differs("room", (await client.get(path, z.object({ room_id: z.string() }))).room_id, roomId);
                },
            ),
    },
    {
        name: "search",
        run: (checked) =>
            forEach(
                "words",
                [checked.expected.needle],
                ({ word }) => word,
                async ({ word, userId, eventId }) => {
                    const { search_categories: found } = await asUser(checked, userId).post(
                        "/_matrix/client/v3/search",
                        { search_categories: { room_events: { search_term: word, keys: ["content.body"] } } },
                        searchAnswer,
                    );
                    return differs(
                        "finds",
                        found.room_events.results.map(({ result }) => result.event_id),
                        [eventId],
                    );
                },
            ),
    },
];

const searchAnswer = z.object({
    search_categories: z.object({
        room_events: z.object({ results: z.array(z.object({ result: z.object({ event_id: z.string() }) })) }),
    }),
});

/** Events may have been added after the expected ones, and nowhere else. */
function historyProblems(found: readonly ExpectedEvent[], expected: readonly ExpectedEvent[]): string[] {
    const held = new Map(found.map((event) => [event.eventId, event]));
    const problems = expected.flatMap((event) => {
        const other = held.get(event.eventId);
        return other === undefined ? [`${event.eventId} is missing`] : differs(event.eventId, other, event);
    });
    const order = differs(
        "the order of events",
        found.slice(0, expected.length).map(({ eventId }) => eventId),
        expected.map(({ eventId }) => eventId),
    );
    return [...problems, ...(problems.length === 0 ? order : [])];
}
