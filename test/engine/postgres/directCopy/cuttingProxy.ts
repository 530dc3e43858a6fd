/** Stands between a copy and a server, and cuts connections in the middle of what they carry, as a network does. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { DatabaseAddress } from "../../../../engine/postgres/connection.ts";

export class CuttingProxy {
    /** Through the proxy. */
    public readonly address: DatabaseAddress;
    private readonly server: Server;
    private readonly sockets: Set<Socket>;

    private constructor(address: DatabaseAddress, server: Server, sockets: Set<Socket>) {
        this.address = address;
        this.server = server;
        this.sockets = sockets;
    }

    /**
     * @param afterBytes  both directions of all connections together, until the connection that carries the last of them is cut; the others
     *     go on
     * @param how  a reset, or an end that looks like an orderly one
     */
    public static async start(to: DatabaseAddress, afterBytes: number, how: "reset" | "end"): Promise<CuttingProxy> {
        const sockets = new Set<Socket>();
        let left = afterBytes;
        const server = createServer((client) => {
            const upstream = connect(to.port, to.host);
            for (const [from, into] of [
                [client, upstream],
                [upstream, client],
            ] as const) {
                sockets.add(from);
                from.on("error", () => into.destroy());
                from.on("close", () => {
                    sockets.delete(from);
                    into.destroy();
                });
                from.on("data", (chunk: Buffer) => {
                    const before = left;
                    left -= chunk.length;
                    if (before > 0 && left <= 0) {
                        // Half of the message arrives.
                        into.write(chunk.subarray(0, Math.max(0, chunk.length + left)));
                        if (how === "reset") client.resetAndDestroy();
                        else client.end();
                        upstream.destroy();
                    } else if (!into.write(chunk)) {
                        from.pause();
                        into.once("drain", () => from.resume());
                    }
                });
            }
        });
        server.listen(0, "127.0.0.1");
        await once(server, "listening");
        const bound = server.address();
        if (bound === null || typeof bound === "string") throw new Error("the proxy has no port");
        return new CuttingProxy({ ...to, host: "127.0.0.1", port: bound.port }, server, sockets);
    }

    public async stop(): Promise<void> {
        for (const socket of this.sockets) socket.destroy();
        this.server.close();
        await once(this.server, "close");
    }
}
