/** A free TCP port on loopback. */
import { once } from "node:events";
import { createServer } from "node:net";

/** Asks the kernel for a port that nobody listens on. Another process may take it before it is used: callers say so when it is. */
export async function freePort(): Promise<number> {
    const server = createServer();
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    server.close();
    await once(server, "close");
    if (address === null || typeof address === "string") throw new Error("a TCP server has no port");
    return address.port;
}
