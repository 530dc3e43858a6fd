import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import type { SelfHostedSource } from "../../../contract/index.ts";
import { installedBaseUrl, publicUrl, requireShown } from "../../../engine/installed/askInstalled.ts";
import { expectError } from "../../support/expectError.ts";
import { withScriptedServer, type Script } from "../../support/scriptedServer.ts";

describe("an installed homeserver that is asked who it is", () => {
    let directory: string;
    const { signal } = new AbortController();
    const keys = { "ed25519:a_1": "public" };

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-ask-"));
    });
    afterEach(() => rm(directory, { recursive: true }));

    async function at(port: number, names: readonly string[] = ["client"]): Promise<SelfHostedSource> {
        const listeners = [{ port, type: "http", bind_addresses: ["127.0.0.1"], resources: [{ names }] }];
        const database = { name: "psycopg2", args: { user: "synapse", password: "p" } };
        await writeFile(join(directory, "homeserver.yaml"), stringify({ server_name: "a.test", listeners, database }));
        return {
            ...{ kind: "selfHosted", serverName: "a.test", machine: { kind: "local" } },
            homeserverConfig: [join(directory, "homeserver.yaml")],
            service: { kind: "process", pidFile: join(directory, "pid") },
        };
    }
    const asked = (script: Script) =>
        withScriptedServer(script, async (baseUrl) =>
            requireShown(await at(Number(new URL(baseUrl).port)), keys, { seconds: 0, signal }),
        );
    const shows = (serverName: string, key: string): Script => ({
        "GET /_matrix/key/v2/server": {
            status: 200,
            json: { server_name: serverName, verify_keys: { "ed25519:a_1": { key } } },
        },
        "GET /_matrix/federation/v1/version": { status: 200, json: { server: { name: "Synapse", version: "1.2.3" } } },
    });

    it("is the right one where it shows name and keys, and tells its version", async () => {
        expect(await asked(shows("a.test", "public"))).to.equal("1.2.3");
    });

    it("is refused with another key, another name, and when it does not answer", async () => {
        expect((await expectError("SM-E1605", () => asked(shows("a.test", "other")))).detail.found).to.contain("other");
        expect((await expectError("SM-E1605", () => asked(shows("b.test", "public")))).detail.found).to.contain(
            "b.test",
        );
        expect((await expectError("SM-E1605", () => asked({}))).detail.found).to.contain("404");
    });

    it("cannot be asked where no listener is for clients", async () => {
        await expectError("SM-E1601", async () => installedBaseUrl(await at(8008, ["metrics"])));
    });

    it("is reached by its clients under its name where it does not say how", async () => {
        expect(await publicUrl(await at(8008))).to.equal("https://a.test/");
    });
});
