/** How many of what a generated homeserver has. */

/** Version of the generator: a cached database of another one is not taken. */
export const generatorVersion = 1;

export const serverName = "bench.test";

/** All numbers of a generated homeserver follow from its number of events. */
export interface Shape {
    readonly events: number;
    readonly rooms: number;
    readonly users: number;
    /** State groups of each room; a group has {@link stateRowsPerGroup} rows. */
    readonly groupsPerRoom: number;
    readonly servers: number;
}

/** With a state group for every fourth event, that are eight rows of state for an event: the largest table by far, as in real databases. */
export const stateRowsPerGroup = 32;
const eventsPerGroup = 4;
export const devicesPerUser = 2;

const smallestUsers = 40;
const smallestRooms = 4;

/** @param events  at least 100 */
export function shapeOf(events: number): Shape {
    const rooms = Math.max(smallestRooms, Math.round(events / 500));
    return {
        events,
        rooms,
        users: Math.max(smallestUsers, Math.round(events / 100)),
        groupsPerRoom: Math.ceil(events / eventsPerGroup / rooms),
        servers: Math.max(smallestRooms, Math.round(events / 1000)),
    };
}

/** Sizes that have a name: about 0.3 GB and 1.3 GB on disk. */
const namedSizes = { S: 50_000, L: 200_000 } as const;

/**
 * Events of a size: a name of {@link namedSizes}, or a number.
 *
 * @throws Error for anything else
 */
export function eventsOf(size: string): number {
    if (size === "S" || size === "L") return namedSizes[size];
    const events = Number(size);
    if (!/^\d{3,8}$/.test(size) || events < 100) throw new Error(`a size is S, L or a number of events, not ${size}`);
    return events;
}
