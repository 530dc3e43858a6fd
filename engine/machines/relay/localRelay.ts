/** Relays on the machine that this program runs on: each lives until they are closed, or this process is gone. */
import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";
import type { RelayedSocket } from "../machine.ts";
import { baseEnvironment } from "../program.ts";
import { portOf, readRelay, relayBootstrap, relayedSocket, relayPlace } from "./relayProgram.ts";

const here = "this machine";
const answerSeconds = 30;
const endSeconds = 5;

type Relay = ChildProcessByStdio<Writable, Readable, null>;

interface HeldRelay {
    readonly relay: Relay;
    readonly socket: RelayedSocket;
}

const held = new Map<string, Promise<HeldRelay>>();

export interface RelayOptions {
    /** A directory that is ours or root's, in which that of the relay is made; `/run` when absent. */
    readonly place?: string;
}

/**
 * A socket at which only this process's user is let in, and whose connections lead to the given one as the given user.
 *
 * @param user  name or number
 * @throws MigrationError SM-E1442, SM-E1405
 */
export async function relayHere(
    target: string,
    user: string | number,
    options: RelayOptions = {},
): Promise<RelayedSocket> {
    const key = JSON.stringify([target, user, options]);
    const known = held.get(key);
    if (known !== undefined) return (await known).socket;
    const starting = startRelay(target, user, options);
    held.set(key, starting);
    const forget = (): void => {
        if (held.get(key) === starting) held.delete(key);
    };
    try {
        const { relay, socket } = await starting;
        relay.once("exit", forget);
        return socket;
    } catch (error) {
        forget();
        throw error;
    }
}

/** Ends all of them, and the connections through them. */
export async function closeRelays(): Promise<void> {
    const relays = await Promise.allSettled(held.values());
    held.clear();
    const ours = relays.flatMap((found) => (found.status === "fulfilled" ? [found.value.relay] : []));
    await Promise.all(ours.map(ended));
}

async function startRelay(
    target: string,
    user: string | number,
    { place = relayPlace }: RelayOptions,
): Promise<HeldRelay> {
    const program = await readRelay();
    // A session of its own: Ctrl-C at our terminal is ours to hear. It ends with its input, which ends with us.
    const relay: Relay = spawn("python3", ["-I", "-c", relayBootstrap], {
        cwd: "/",
        env: baseEnvironment(),
        detached: true,
        stdio: ["pipe", "pipe", "ignore"],
    });
    relay.stdin.on("error", () => undefined);
    const closed = once(relay, "close");
    const spec = { target, user, place, port: portOf(target), allowed: process.geteuid?.() ?? 0 };
    relay.stdin.write(`${program.length}\n`);
    relay.stdin.write(program);
    relay.stdin.write(`${JSON.stringify(spec)}\n`);
    try {
        const lines = createInterface(relay.stdout);
        const late = setTimeout(() => relay.kill("SIGKILL"), answerSeconds * 1000);
        const [line] = (await Promise.race([once(lines, "line"), closed.then(() => [])])) as [string?];
        clearTimeout(late);
        const refused = `it has ended without an answer within ${answerSeconds} s, with exit code ${relay.exitCode ?? "none"}`;
        const socket = relayedSocket(line === undefined ? { refused } : parseJson(line), here, user);
        return { relay, socket };
    } catch (error) {
        await ended(relay);
        if (error instanceof Error && "code" in error && error.code === "ENOENT")
            throw new MigrationError("SM-E1405", { where: here, found: error.message, cause: error });
        throw error;
    }
}

const isRunning = ({ exitCode, signalCode }: Relay): boolean => exitCode === null && signalCode === null;

async function ended(relay: Relay): Promise<void> {
    if (relay.pid === undefined || !isRunning(relay)) return;
    const exited = once(relay, "exit");
    relay.stdin.end();
    const late = setTimeout(() => relay.kill("SIGKILL"), endSeconds * 1000);
    await exited;
    clearTimeout(late);
}
