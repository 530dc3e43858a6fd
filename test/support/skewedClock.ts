/** A real PostgreSQL server whose clock says another time: what stands in between changes nothing but that, in the server's own answers. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

/** `1764506096.123456`, as a server writes seconds since 1970; nothing else that it sends looks like it. */
const clock = /(?<![\d.])1\d{9}\.\d{6}(?!\d)/g;

/** @param seconds  that the clock is ahead; negative where it is behind */
export async function withSkewedClock<T>(
    server: { readonly host: string; readonly port: number },
    seconds: number,
    work: (port: number) => Promise<T>,
): Promise<T> {
    const sockets = new Set<Socket>();
    const proxy = createServer((client) => {
        const upstream = connect(server.port, server.host);
        for (const socket of [client, upstream]) {
            sockets.add(socket);
            socket.setNoDelay(true).on("error", () => undefined);
        }
        client.pipe(upstream);
        upstream.on("data", (data) => client.write(shifted(data, seconds))).on("end", () => client.end());
    });
    proxy.listen(0, "127.0.0.1");
    await once(proxy, "listening");
    try {
        return await work((proxy.address() as AddressInfo).port);
    } finally {
        for (const socket of sockets) socket.destroy();
        proxy.close();
        await once(proxy, "close");
    }
}

/** Of the same length, so that the message around it stays whole. */
function shifted(data: Buffer, seconds: number): Buffer {
    const text = data.toString("latin1").replace(clock, (found) => (Number(found) + seconds).toFixed(6));
    return Buffer.from(text, "latin1");
}
