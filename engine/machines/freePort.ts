/** A TCP port that nobody listens on, and that nobody gets by chance while its server is down. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { MigrationError } from "../run/errors.ts";

/** Below it are ports that people know by heart. */
const lowest = 10_000;
/** Linux's own default (ip-sysctl(7), `ip_local_port_range`). */
const usualEphemeral = 32_768;
const attempts = 50;

/**
 * A port that is free at the address, loopback when absent. Another program may take it before it is used: what is started there then fails and
 * says so.
 *
 * It is below those that the kernel gives to outgoing connections: a server that keeps its port and is down for a moment finds it free again.
 */
export async function freePort(address = "127.0.0.1"): Promise<number> {
    const end = await firstEphemeral();
    for (let attempt = 0; end > lowest && attempt < attempts; attempt++) {
        const port = await bound(address, randomInt(lowest, end));
        if (port !== undefined) return port;
    }
    const port = await bound(address, 0);
    if (port !== undefined) return port;
    throw new MigrationError("SM-E1101", { where: address, found: "no free port" });
}

async function firstEphemeral(): Promise<number> {
    const range = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8").catch(() => "");
    return Number(/^\s*(\d+)/.exec(range)?.[1] ?? usualEphemeral);
}

/** @returns undefined when it is taken, or not ours to have */
async function bound(address: string, port: number): Promise<number | undefined> {
    const server = createServer();
    server.listen(port, address);
    try {
        await once(server, "listening");
    } catch {
        return undefined;
    }
    const got = server.address();
    server.close();
    await once(server, "close");
    return typeof got === "object" && got !== null ? got.port : undefined;
}
