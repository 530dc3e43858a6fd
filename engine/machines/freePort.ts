/** A TCP port that nobody listens on. */
import { once } from "node:events";
import { createServer } from "node:net";
import { MigrationError } from "../run/errors.ts";

/**
 * Asks the kernel for a port that is free at the address, loopback when absent, and gives it back. Another program may take it before it is
 * used: what is started there then fails and says so.
 */
export async function freePort(address = "127.0.0.1"): Promise<number> {
    const server = createServer();
    server.listen(0, address);
    await once(server, "listening");
    const bound = server.address();
    server.close();
    await once(server, "close");
    if (typeof bound === "object" && bound !== null) return bound.port;
    throw new MigrationError("SM-E1101", { where: address, found: "no free port" });
}
