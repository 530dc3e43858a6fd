/** An HTTP server on loopback that answers as a test tells it to: for answers that no real homeserver can be brought to give. */
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

export interface ScriptedAnswer {
    /** 0 ends the connection without an answer. */
    readonly status: number;
    readonly json?: unknown;
    readonly bytes?: Buffer;
}

/** Keys are `METHOD /path`, without the query. Anything else is answered with 404 M_UNRECOGNIZED. */
export type Script = Record<string, ScriptedAnswer>;

export async function withScriptedServer<T>(script: Script, work: (baseUrl: string) => Promise<T>): Promise<T> {
    const server = createServer((request, response) => {
        const path = decodeURIComponent(request.url?.split("?")[0] ?? "");
        const answer = script[`${request.method ?? ""} ${path}`] ?? {
            status: 404,
            json: { errcode: "M_UNRECOGNIZED" },
        };
        request.resume();
        if (answer.status === 0) {
            request.socket.destroy();
            return;
        }
        response.writeHead(answer.status, {
            "Content-Type": answer.bytes === undefined ? "application/json" : "application/octet-stream",
        });
        response.end(answer.bytes ?? JSON.stringify(answer.json ?? {}));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
        return await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
    }
}
