/** Reads the whole history and the current state of a room, as one of its members. */
import { z } from "zod";
import type { ExpectedEvent } from "./expectations.ts";
import { jsonObject, matrixPath, type MatrixClient } from "./matrixClient.ts";

const clientEvent = z.object({
    event_id: z.string(),
    type: z.string(),
    sender: z.string(),
    state_key: z.string().optional(),
    content: jsonObject,
    origin_server_ts: z.number(),
    unsigned: z.object({ redacted_because: z.unknown().optional() }).optional(),
});
const page = z.object({ chunk: z.array(clientEvent), end: z.string().optional() });
const pageEvents = 500;

/** Every event of the room that the member may see, oldest first. */
export async function readHistory(client: MatrixClient, roomId: string): Promise<ExpectedEvent[]> {
    const events: ExpectedEvent[] = [];
    let from: string | undefined;
    do {
        const { chunk, end } = await client.get(matrixPath`/_matrix/client/v3/rooms/${roomId}/messages`, page, {
            dir: "f",
            limit: pageEvents,
            ...(from === undefined ? {} : { from }),
        });
        events.push(...chunk.map(expected));
        // An `end` that does not move would be asked for for ever.
        from = chunk.length === 0 || end === from ? undefined : end;
    } while (from !== undefined);
    return events;
}

/** The current state of the room, sorted by type and state key. */
export async function readState(client: MatrixClient, roomId: string): Promise<ExpectedEvent[]> {
    const state = await client.get(matrixPath`/_matrix/client/v3/rooms/${roomId}/state`, z.array(clientEvent));
    const key = (event: ExpectedEvent): string => JSON.stringify([event.type, event.stateKey]);
    return state.map(expected).sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

/** One event by its id. */
export async function readEvent(client: MatrixClient, roomId: string, eventId: string): Promise<ExpectedEvent> {
    return expected(await client.get(matrixPath`/_matrix/client/v3/rooms/${roomId}/event/${eventId}`, clientEvent));
}

/** One event by its id, as the middle of its context. */
export async function readEventInContext(
    client: MatrixClient,
    roomId: string,
    eventId: string,
): Promise<ExpectedEvent> {
    const path = matrixPath`/_matrix/client/v3/rooms/${roomId}/context/${eventId}`;
    return expected((await client.get(path, z.object({ event: clientEvent }), { limit: 2 })).event);
}

function expected(event: z.infer<typeof clientEvent>): ExpectedEvent {
    return {
        eventId: event.event_id,
        type: event.type,
        sender: event.sender,
        ...(event.state_key === undefined ? {} : { stateKey: event.state_key }),
        content: event.content,
        originServerTs: event.origin_server_ts,
        redacted: event.unsigned?.redacted_because !== undefined,
    };
}
