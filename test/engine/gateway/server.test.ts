import { expect } from "chai";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { request, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { createGateway, isThisMachine, type GatewayServer } from "../../../engine/gateway/server.ts";
import { untilItPasses } from "../../support/waiting.ts";
import { fakeHomeserver, type FakeHomeserver } from "./fakeHomeserver.ts";

describe("the gateway", () => {
    let homeserver: FakeHomeserver;
    let gateway: GatewayServer;
    let url: string;

    const send = async (
        method: string,
        path: string,
        headers: Record<string, string> = {},
    ): Promise<IncomingMessage> => {
        const sent = request(new URL(path, url), { method, headers, agent: false });
        sent.end();
        const [response] = (await once(sent, "response")) as [IncomingMessage];
        return response;
    };

    beforeEach(async () => {
        homeserver = await fakeHomeserver();
        gateway = createGateway({ upstream: homeserver.url, retryAfterSeconds: 120 });
        gateway.server.listen(0, "0.0.0.0");
        await once(gateway.server, "listening");
        url = `http://127.0.0.1:${(gateway.server.address() as AddressInfo).port}`;
    });
    afterEach(async () => {
        gateway.server.closeAllConnections();
        gateway.server.close();
        await homeserver.close();
    });

    describe("while it is closed", () => {
        for (const [method, path] of [
            ["GET", "/_matrix/client/v3/sync"],
            ["POST", "/_matrix/client/v3/login"],
            ["PUT", "/_matrix/federation/v1/send/1"],
            ["DELETE", "/_matrix/client/v3/devices/x"],
            ["OPTIONS", "/_matrix/client/v3/login"],
            ["GET", "/.well-known/matrix/server"],
        ] as const) {
            it(`answers ${method} ${path} with 503, Retry-After and an error in Matrix's shape`, async () => {
                const response = await fetch(new URL(path, url), { method });
                expect(response.status).to.equal(503);
                expect(response.headers.get("retry-after")).to.equal("120");
                expect(response.headers.get("access-control-allow-origin")).to.equal("*");
                expect(response.headers.get("x-synapse-migration")).to.equal("closed");
                const body = (await response.json()) as Record<string, unknown>;
                expect(body).to.include({ errcode: "M_UNKNOWN", retry_after_ms: 120_000 });
                expect(homeserver.seen).to.deep.equal([]);
            });
        }

        it("answers the question that a browser asks beforehand, so that its page may read the 503", async () => {
            const response = await send("OPTIONS", "/_matrix/client/v3/login", {
                origin: "https://app.example",
                "access-control-request-method": "POST",
                "access-control-request-headers": "authorization",
            });
            expect(response.statusCode).to.equal(204);
            expect(response.headers["access-control-allow-headers"]).to.contain("Authorization");
            expect(response.headers["access-control-allow-methods"]).to.contain("DELETE");
        });

        it("answers an upload that is still being sent", async () => {
            const body = randomBytes(3_000_000);
            const response = await fetch(new URL("/_matrix/media/v3/upload", url), { method: "POST", body });
            expect(response.status).to.equal(503);
        });
    });

    describe("while it is open", () => {
        beforeEach(() => gateway.setOpen(true));

        it("passes requests on with the client's address, and shows nothing of itself", async () => {
            const response = await fetch(new URL("/_matrix/client/versions?x=%2F", url));
            expect(await response.json()).to.deep.equal({ versions: ["v1.11"] });
            expect(response.headers.get("x-synapse-migration")).to.equal(null);
            const [seen] = homeserver.seen;
            expect(seen?.url).to.equal("/_matrix/client/versions?x=%2F");
            expect(seen?.headers).to.include({ "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http" });
            expect(seen?.headers.host).to.equal(new URL(url).host);
        });

        it("keeps what a proxy on the same machine says about the client", async () => {
            await send("GET", "/_matrix/client/versions", {
                "x-forwarded-for": "203.0.113.9",
                "x-forwarded-proto": "https",
            });
            expect(homeserver.seen[0]?.headers).to.include({
                "x-forwarded-for": "203.0.113.9",
                "x-forwarded-proto": "https",
            });
        });

        it("believes nobody else about where a request comes from", () => {
            expect(["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"].map(isThisMachine)).not.to.include(false);
            expect(
                ["10.0.0.1", "203.0.113.9", "::ffff:10.0.0.1", "2001:db8::1", undefined].map(isThisMachine),
            ).not.to.include(true);
        });

        it("streams an upload to the homeserver unchanged", async () => {
            const parts = Array.from({ length: 40 }, () => randomBytes(200_000));
            const hash = createHash("sha256");
            for (const part of parts) hash.update(part);
            const body = Readable.toWeb(Readable.from(parts)) as ReadableStream;
            const response = await fetch(new URL("/_matrix/media/v3/upload", url), {
                method: "POST",
                body,
                duplex: "half",
            });
            expect(await response.json()).to.deep.equal({ sha256: hash.digest("hex") });
        });

        it("streams a download whole to a client that reads it slowly", async () => {
            const response = await send("GET", "/_matrix/media/v3/download");
            let bytes = 0;
            for await (const chunk of response as AsyncIterable<Buffer>) {
                if (bytes === 0) await new Promise((resolve) => setTimeout(resolve, 50));
                bytes += chunk.length;
            }
            expect(bytes).to.equal(160 * 64 * 1024);
        });

        it("breaks off the homeserver's work when the client goes away", async () => {
            const stop = new AbortController();
            const asked = fetch(new URL("/_matrix/client/v3/sync", url), { signal: stop.signal }).catch(
                () => undefined,
            );
            await untilItPasses(() => Promise.resolve(expect(homeserver.seen).to.have.length(1)));
            stop.abort();
            await asked;
            await untilItPasses(() => Promise.resolve(expect(homeserver.aborted()).to.equal(1)));
        });

        it("answers 503 in the same shape, without claiming to be closed, when the homeserver is down", async () => {
            await homeserver.close();
            const response = await fetch(new URL("/_matrix/client/versions", url));
            expect(response.status).to.equal(503);
            expect(response.headers.get("x-synapse-migration")).to.equal(null);
            expect(((await response.json()) as Record<string, unknown>)["errcode"]).to.equal("M_UNKNOWN");
            homeserver = await fakeHomeserver(homeserver.port);
            expect((await fetch(new URL("/_matrix/client/versions", url))).status).to.equal(200);
        });

        it("lets a client see that an answer was cut short", async () => {
            const response = await fetch(new URL("/broken", url));
            const text = await response.text().catch(() => "broken off");
            expect(text).to.equal("broken off");
        });

        it("cuts what is under way when it closes, so that nothing more is written", async () => {
            const asked = fetch(new URL("/_matrix/client/v3/sync", url)).catch(() => "cut");
            await untilItPasses(() => Promise.resolve(expect(homeserver.seen).to.have.length(1)));
            gateway.setOpen(false);
            expect(await asked).to.equal("cut");
            expect((await fetch(new URL("/_matrix/client/v3/sync", url))).status).to.equal(503);
        });
    });
});
