/** A homeserver to stand behind a gateway: answers what the step `open` asks, holds, streams and records requests. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeHomeserver {
    readonly url: string;
    readonly port: number;
    readonly seen: { method: string; url: string; headers: IncomingHttpHeaders }[];
    /** Requests to /sync that were broken off by their client. */
    readonly aborted: () => number;
    /** Ends the requests to /sync. */
    answerSync(): void;
    close(): Promise<void>;
}

export const serverName = "example.org";
export const verifyKeys = { "ed25519:a_AbCd": "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw" };

export async function fakeHomeserver(port = 0, keys: Record<string, string> = verifyKeys): Promise<FakeHomeserver> {
    const seen: FakeHomeserver["seen"] = [];
    const waiting: (() => void)[] = [];
    let aborted = 0;
    const server = createServer((request, response) => {
        const { method = "", url = "", headers } = request;
        seen.push({ method, url, headers });
        const json = (body: unknown) =>
            response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(body));
        const path = url.split("?")[0];
        if (path === "/_matrix/client/versions") json({ versions: ["v1.11"] });
        else if (path === "/_matrix/key/v2/server") {
            const shown = Object.entries(keys).map(([id, key]) => [id, { key }]);
            json({ server_name: serverName, verify_keys: Object.fromEntries(shown) as unknown });
        } else if (path === "/_matrix/client/v3/sync") {
            waiting.push(() => json({ next_batch: "s1" }));
            response.once("close", () => (aborted += response.writableFinished ? 0 : 1));
        } else if (path === "/_matrix/media/v3/upload") {
            const hash = createHash("sha256");
            request.on("data", (chunk: Buffer) => hash.update(chunk));
            request.on("end", () => json({ sha256: hash.digest("hex") }));
        } else if (path === "/_matrix/media/v3/download") {
            const chunk = Buffer.alloc(64 * 1024, 7);
            let left = 160;
            const push = (): void => {
                while (left-- > 0) {
                    if (!response.write(chunk)) {
                        response.once("drain", push);
                        return;
                    }
                }
                response.end();
            };
            push();
        } else if (path === "/broken") {
            response.writeHead(200, { "content-length": "1000" });
            response.write("half", () => response.destroy());
        } else response.writeHead(404).end();
    });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    const { port: used } = server.address() as AddressInfo;
    return {
        url: `http://127.0.0.1:${used}`,
        port: used,
        seen,
        aborted: () => aborted,
        answerSync: () => {
            for (const answer of waiting.splice(0)) answer();
        },
        close: async () => {
            server.closeAllConnections();
            server.close();
            await once(server, "close");
        },
    };
}
