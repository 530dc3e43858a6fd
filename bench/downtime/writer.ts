/** Stands for the homeserver that goes on while its database is copied: writes events at a steady pace until it is stopped. */
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import { query, withClient, type Client, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { changesOf, type Population } from "./changes.ts";

interface Written {
    readonly events: number;
    readonly errors: readonly string[];
    /** The longest that an event had to wait for its turn and its transaction. */
    readonly slowestSeconds: number;
}

export interface Writer {
    /** Resolves when the last transaction has ended and the connection is closed. */
    stop(): Promise<Written>;
}

const statementSeconds = 60;

/** Begins to write; what fails is noted, and the next event is written when its time has come. */
export async function startWriter(address: DatabaseAddress, eventsPerSecond: number): Promise<Writer> {
    const stopping = new AbortController();
    let ready = (): void => undefined;
    const running = new Promise<void>((resolve) => {
        ready = resolve;
    });
    const done = withClient(address, { step: "bench writer", statementSeconds }, async (client) => {
        await client.query("SET search_path = public");
        const population = await readPopulation(client);
        ready();
        return write(client, population, eventsPerSecond, stopping.signal);
    });
    await Promise.race([running, done]);
    return {
        stop() {
            stopping.abort();
            return done;
        },
    };
}

async function write(
    client: Client,
    population: Population,
    eventsPerSecond: number,
    signal: AbortSignal,
): Promise<Written> {
    const began = performance.now();
    const errors: string[] = [];
    let [events, slowest] = [0, 0];
    const stopped = (): boolean => signal.aborted;
    for (let n = 0; !stopped(); n += 1) {
        const due = began + (n * 1000) / eventsPerSecond;
        const early = due - performance.now();
        // An abort is not an error: the loop sees it.
        if (early > 0) await delay(early, undefined, { signal }).catch(() => undefined);
        if (stopped()) break;
        try {
            await client.query(changesOf(n, population));
            events += 1;
        } catch (error) {
            errors.push(error instanceof Error ? error.message : String(error));
            await client.query("ROLLBACK");
        }
        slowest = Math.max(slowest, performance.now() - Math.max(due, began));
    }
    return { events, errors, slowestSeconds: slowest / 1000 };
}

async function readPopulation(client: Client): Promise<Population> {
    const list = <Row>(shape: z.ZodType<Row>, sql: string): Promise<Row[]> => query(client, shape, sql);
    const name = z.object({ name: z.string() });
    return {
        rooms: (await list(name, "SELECT room_id AS name FROM rooms ORDER BY room_id LIMIT 500")).map(
            (row) => row.name,
        ),
        users: (await list(name, "SELECT name FROM users ORDER BY name LIMIT 2000")).map((row) => row.name),
        devices: await list(
            z.object({ user: z.string(), device: z.string() }),
            'SELECT user_id AS "user", device_id AS device FROM devices ORDER BY user_id, device_id LIMIT 2000',
        ),
        receipts: await list(
            z.object({ room: z.string(), user: z.string() }),
            `SELECT room_id AS room, user_id AS "user" FROM receipts_linearized WHERE receipt_type = 'm.read' ORDER BY room_id, user_id LIMIT 2000`,
        ),
    };
}
