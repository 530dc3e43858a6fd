/** What may stand between this machine and a server: passes requests on as they are, and spoils the answers it is told to. */
import { once } from "node:events";
import { createServer, request, type IncomingMessage, type ServerResponse } from "node:http";
import { freePort } from "../../engine/machines/freePort.ts";

/** `cut`: ends in the middle; `alter`: another byte at the end; `shorten`: a whole answer, one byte less than it was. */
type Damage = "cut" | "alter" | "shorten";

export interface TamperingProxy {
    readonly endpoint: string;
    /** What to do with the answer to a request; the first request that it is asked about is the first of its path. */
    damage: (request: { readonly method: string; readonly path: string }) => Damage | undefined;
    /** Each request that was passed on, as `GET /bucket/key`. */
    readonly requests: string[];
    stop(): Promise<void>;
}

/** @param upstream  `http://127.0.0.1:<port>` */
export async function startTamperingProxy(upstream: string): Promise<TamperingProxy> {
    const { hostname, port } = new URL(upstream);
    const ownPort = await freePort();
    const proxy: TamperingProxy = {
        endpoint: `http://127.0.0.1:${ownPort}`,
        damage: () => undefined,
        requests: [],
        stop: async () => {
            server.closeAllConnections();
            server.close();
            await once(server, "close");
        },
    };
    const server = createServer((incoming, outgoing) => {
        const method = incoming.method ?? "GET";
        const path = decodeURIComponent((incoming.url ?? "").split("?")[0] ?? "");
        proxy.requests.push(`${method} ${path}`);
        // The host is part of what was signed, so it stays as it came.
        const { headers, url } = incoming;
        const passedOn = request({ hostname, port, method, path: url, headers }, (answer) => {
            void pass(answer, outgoing, proxy.damage({ method, path }));
        });
        passedOn.on("error", () => outgoing.destroy());
        incoming.pipe(passedOn);
    });
    server.listen(ownPort, "127.0.0.1");
    await once(server, "listening");
    return proxy;
}

async function pass(answer: IncomingMessage, outgoing: ServerResponse, damage: Damage | undefined): Promise<void> {
    if (damage === undefined) {
        outgoing.writeHead(answer.statusCode ?? 500, answer.rawHeaders);
        answer.pipe(outgoing);
        return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of answer) if (Buffer.isBuffer(chunk)) chunks.push(chunk);
    let body = Buffer.concat(chunks);
    if (damage === "alter") body[body.length - 1] = (body.at(-1) ?? 0) ^ 1;
    if (damage === "shorten") body = body.subarray(0, -1);
    const headers = Object.entries(answer.headers).filter(([name]) => name !== "transfer-encoding");
    outgoing.writeHead(answer.statusCode ?? 500, {
        ...Object.fromEntries(headers),
        "content-length": body.length,
    });
    if (damage === "cut") outgoing.write(body.subarray(0, body.length / 2), () => outgoing.destroy());
    else outgoing.end(body);
}
