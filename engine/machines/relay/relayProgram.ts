/** The relay, a program in Python on the machine of a socket, and what is said to it and by it: see relay.py. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { pythonFromInput } from "../far/pythonFromInput.ts";
import type { RelayedSocket } from "../machine.ts";

/** Root's own, and empty after a boot. */
export const relayPlace = "/run";

export const relayBootstrap = pythonFromInput("socket_relay");

const answer = z.union([z.object({ socket: z.string(), user: z.string() }), z.object({ refused: z.string() })]);

export const readRelay = (): Promise<Buffer> => readFile(join(import.meta.dirname, "relay.py"));

/** The port in the name of a server's socket; 0 for another name. */
export function portOf(socket: string): number {
    return Number(/\.s\.PGSQL\.(\d+)$/.exec(socket)?.[1] ?? 0);
}

/**
 * @param where  the machine, for messages
 * @throws MigrationError SM-E1442 where it cannot be done as that user
 */
export function relayedSocket(answered: unknown, where: string, user: string | number): RelayedSocket {
    const parsed = answer.parse(answered);
    if ("socket" in parsed) return parsed;
    throw new MigrationError("SM-E1442", { where, found: `as user ${user}: ${parsed.refused}` });
}
