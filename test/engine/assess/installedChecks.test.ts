import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import type { Finding, SelfHostedSource } from "../../../contract/index.ts";
import type { AssessmentContext } from "../../../engine/assess/check.ts";
import { installedChecks } from "../../../engine/assess/installedChecks.ts";
import { closeMachines } from "../../../engine/machines/openMachine.ts";
import { withScriptedServer } from "../../support/scriptedServer.ts";

describe("the assessment of an installed homeserver", () => {
    let directory: string;

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-test-"));
    });
    afterEach(async () => {
        await closeMachines();
        await rm(directory, { recursive: true });
    });

    const installedAt = async (port: number, more: object = {}): Promise<SelfHostedSource> => {
        const file = join(directory, "homeserver.yaml");
        const listeners = [{ port, type: "http", bind_addresses: ["127.0.0.1"], resources: [{ names: ["client"] }] }];
        const database = { name: "psycopg2", args: { user: "synapse", password: "p", host: "127.0.0.1" } };
        const content = { server_name: "a.test", listeners, database, media_store_path: directory, ...more };
        await writeFile(file, stringify(content));
        return {
            ...{ kind: "selfHosted", serverName: "a.test", machine: { kind: "local" }, homeserverConfig: [file] },
            service: { kind: "process", pidFile: join(directory, "pid") },
        };
    };
    const look = async (id: string, deployment: SelfHostedSource): Promise<Finding[] | "not-run"> => {
        const check = installedChecks.find((one) => one.id === id);
        if (check === undefined) throw new Error(`there is no check ${id}`);
        const targetSynapse = { version: "1.163.2", schema: 92, compat: 89 };
        const spec = { installed: { deployment }, targetPython: "/venv/bin/python" };
        return check.run({ spec, targetSynapse } as unknown as AssessmentContext);
    };
    const evidence = (found: Finding[] | "not-run"): string =>
        found === "not-run" ? found : found.map(({ id, evidence: text }) => `${id} ${text}`).join("\n");
    const running = (version: string): Promise<string> =>
        withScriptedServer(
            { "GET /_matrix/federation/v1/version": { status: 200, json: { server: { name: "Synapse", version } } } },
            async (url) => evidence(await look("installed-version", await installedAt(Number(new URL(url).port)))),
        );

    it("blocks where another release of Synapse runs there than the one that it is tried with", async () => {
        expect(await running("1.100.0")).to.match(/^SM-E1601 .*: Synapse 1\.100\.0 runs there, and .* has 1\.163\.2/);
        expect(await running("1.164.0")).to.contain("SM-E1601");
        expect(await running("1.163.0 (b=release,abcdef)")).to.equal("");
        expect(await look("installed-version", await installedAt(1))).to.equal("not-run");
    });

    it("blocks where it has another name", async () => {
        const deployment = await installedAt(1, { server_name: "b.test" });
        expect(evidence(await look("installed-media", deployment))).to.match(
            /^SM-E1601 .*server_name b\.test \(SM-E0801\)/,
        );
    });

    it("blocks where no client can ask it, where its workers write, and where it has no media store", async () => {
        const metrics = [{ port: 9000, type: "metrics" }];
        expect(evidence(await look("installed-service", await installedAt(1, { listeners: metrics })))).to.contain(
            "no listener of type http",
        );
        const writers = await installedAt(1, { stream_writers: { events: ["w1"] } });
        expect(evidence(await look("installed-workers", writers))).to.contain("stream_writers");
        const nowhere = await installedAt(1, { media_store_path: join(directory, "none") });
        expect(evidence(await look("installed-media", nowhere))).to.contain("there is no media store");
        expect(evidence(await look("installed-media", await installedAt(1)))).to.equal("");
    });
});
