import { expect } from "chai";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { gatewayContract, openContract } from "../../../contract/index.ts";
import { gateway } from "../../../steps/stage/gateway.ts";
import { publicChecks } from "../../../engine/gateway/publicChecks.ts";
import { gatewayFiles, readGatewayState } from "../../../engine/gateway/state.ts";
import { readUptime } from "../../../engine/run/steadyClock.ts";
import { open } from "../../../steps/cutover/open.ts";
import { expectError } from "../../support/expectError.ts";
import { fakeHomeserver, serverName, verifyKeys, type FakeHomeserver } from "../../engine/gateway/fakeHomeserver.ts";
import { testRun } from "../../support/stepRun.ts";

describe("the step open", () => {
    let directory: string;
    let homeserver: FakeHomeserver;
    let gatewaySpec: z.infer<typeof gatewayContract.spec>;
    let spec: z.infer<typeof openContract.spec>;
    const run = (id = "r1", signal?: AbortSignal) => testRun(id, directory, signal);
    const status = async () => (await fetch(new URL("/_matrix/client/versions", spec.gatewayUrl))).status;

    before(async () => {
        directory = await mkdtemp(join(tmpdir(), "open-"));
        homeserver = await fakeHomeserver();
        gatewaySpec = {
            run: { id: "r1", directory },
            directory: join(directory, "gateway"),
            listener: { bindAddress: "127.0.0.1", port: 0 },
            upstream: homeserver.url,
            retryAfterSeconds: 30,
        };
        const { url } = await gateway.act(gatewaySpec, run());
        spec = {
            run: { id: "r1", directory },
            serverName,
            gatewayDirectory: gatewaySpec.directory,
            gatewayUrl: url,
            committedAt: new Date().toISOString(),
            verifyKeys,
        };
    });
    afterEach(() => open.undo?.(spec, run()));
    after(async () => {
        await gateway.undo?.(gatewaySpec, run());
        await homeserver.close();
        await rm(directory, { recursive: true });
    });

    it("lets traffic through, and its undo answers 503 again", async () => {
        expect(await status()).to.equal(503);
        const result = openContract.result.parse(await open.act(spec, run()));
        expect(result).not.to.have.property("downtimeSeconds");
        expect(result.checks.map(({ state }) => state)).to.deep.equal(Array(5).fill("not-run"));
        expect(await status()).to.equal(200);
        await open.act(spec, run());
        await open.undo?.(spec, run());
        expect(await status()).to.equal(503);
    });

    it("tells for how long nobody was served", async () => {
        const fencedAt = new Date(Date.now() - 90_000).toISOString();
        await writeFile(join(directory, "fence-token.json"), JSON.stringify({ run: "r1", fencedAt, watermarks: {} }));
        const { downtimeSeconds } = await open.act(spec, run());
        expect(downtimeSeconds).to.be.within(90, 110);
        await rm(join(directory, "fence-token.json"));
    });

    for (const wrongBy of [3600, -3600]) {
        it(`tells it right though the clock was set by ${-wrongBy} s since the fence (P52)`, async () => {
            const up = readUptime();
            const fencedAt = new Date(Date.now() + (wrongBy - 90) * 1000).toISOString();
            const token = join(directory, "fence-token.json");
            await writeFile(token, JSON.stringify({ run: "r1", fencedAt, watermarks: {} }));
            const opening = run();
            await opening.journal.append({ step: "fence", phase: "migrate", kind: "action", action: "fenced-at" });
            const [told] = await opening.journal.read();
            const uptime = { boot: up?.boot ?? "", seconds: (up?.seconds ?? 0) - 90 };
            Object.assign(told ?? {}, { at: fencedAt, uptime });
            const { downtimeSeconds } = await open.act(spec, opening);
            expect(downtimeSeconds).to.be.within(89, 110);
            await rm(token);
        });
    }

    it("leaves a gateway alone that a newer run has closed for itself", async () => {
        await open.act(spec, run());
        const newer = run("r2");
        await open.undo?.(spec, newer);
        expect(newer.said.join()).to.contain("not this run's");
        expect(await status()).to.equal(200);
    });

    it("refuses with SM-E1110 a homeserver with another signing key, and closes again", async () => {
        const other = { ...spec, verifyKeys: { "ed25519:a_AbCd": "another" } };
        const error = await expectError("SM-E1110", () => open.act(other, run()));
        expect(error.detail.found).to.contain(verifyKeys["ed25519:a_AbCd"]);
        expect(await status()).to.equal(503);
        expect((await readGatewayState(gatewayFiles(spec.gatewayDirectory).state))?.state).to.equal("closed");
    });

    it("closes again when it is stopped half-way", async () => {
        const stop = new AbortController();
        const other = { ...spec, gatewayUrl: "http://127.0.0.1:9" };
        setTimeout(() => stop.abort(), 300);
        const stopped = await open.act(other, run("r1", stop.signal)).catch((error: unknown) => error);
        expect(stopped).to.have.property("name", "AbortError");
        expect((await readGatewayState(gatewayFiles(spec.gatewayDirectory).state))?.state).to.equal("closed");
    });
});

describe("the checks of a homeserver's public face", () => {
    let homeserver: FakeHomeserver;
    before(async () => {
        homeserver = await fakeHomeserver();
    });
    after(() => homeserver.close());

    const documents =
        (answers: Record<string, () => Response>) =>
        (url: URL, init: RequestInit): Promise<Response> => {
            const answer = answers[url.href];
            return answer === undefined ? fetch(url, init) : Promise.resolve(answer());
        };
    const json =
        (body: unknown, headers: Record<string, string> = { "access-control-allow-origin": "*" }) =>
        () =>
            new Response(JSON.stringify(body), { headers });
    const client = "https://example.org/.well-known/matrix/client";
    const server = "https://example.org/.well-known/matrix/server";
    const states = async (name: string, base: string, answers: Record<string, () => Response>) =>
        Object.fromEntries(
            (await publicChecks({ serverName: name, publicBaseUrl: base, fetch: documents(answers) })).map(
                ({ id, state, evidence }) => [id.replace("public.", ""), `${state}: ${evidence}`],
            ),
        );

    it("pass where everything leads to the homeserver, and say what does not apply", async () => {
        const found = await states("example.org", `${homeserver.url}/`, {
            [client]: json({ "m.homeserver": { base_url: homeserver.url } }),
            [server]: json({ "m.server": "matrix.example.org:443" }),
        });
        expect(found["dns"]).to.match(/^not-run: 127.0.0.1 is an address/);
        expect(found["tls"]).to.match(/^not-run: .* does not use TLS/);
        expect(found["reachable"]).to.match(/^passed/);
        expect(found["well-known-client"]).to.match(/^passed/);
        expect(found["well-known-server"]).to.equal(`passed: ${server} leads other servers to matrix.example.org:443`);
    });

    it("fail where clients are led elsewhere or cannot read where", async () => {
        const elsewhere = await states("example.org", homeserver.url, {
            [client]: json({ "m.homeserver": { base_url: "https://old.example.org" } }),
            [server]: () => new Response("<html>", { status: 200 }),
        });
        expect(elsewhere["well-known-client"]).to.match(/^failed: .* leads clients to https:\/\/old.example.org/);
        expect(elsewhere["well-known-server"]).to.equal("warning: the document does not have the right shape");
        const hidden = await states("example.org", homeserver.url, {
            [client]: json({ "m.homeserver": { base_url: homeserver.url } }, {}),
            [server]: () => new Response("", { status: 404 }),
        });
        expect(hidden["well-known-client"]).to.match(/^failed: .* no Access-Control-Allow-Origin/);
        expect(hidden["well-known-server"]).to.match(/^warning: .* 404/);
    });

    it("warn where clients find no document", async () => {
        const found = await states("example.org:8448", homeserver.url, {
            [client]: () => new Response("", { status: 404 }),
        });
        expect(found["well-known-client"]).to.match(/^warning: .* 404/);
        expect(found["well-known-server"]).to.match(/^not-run: other servers connect to example.org:8448 directly/);
    });

    it("fail where there is no such name, no certificate, and no answer", async () => {
        const answers = { "https://127.0.0.1/.well-known/matrix/client": () => new Response("", { status: 404 }) };
        const noTls = await states("127.0.0.1", homeserver.url.replace("http:", "https:"), answers);
        expect(noTls["tls"]).to.match(/^failed: /);
        expect(noTls["reachable"]).to.match(/^failed: /);
        const noName = await states("127.0.0.1", "http://localhost.invalid:1", answers);
        expect(noName["dns"]).to.match(/^failed: /);
        const name = await states("127.0.0.1", homeserver.url.replace("127.0.0.1", "localhost"), answers);
        expect(name["dns"]).to.match(/^passed: localhost is /);
    });
});
