import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stringify } from "yaml";
import type { Finding, SelfHostedSource } from "../../../contract/index.ts";
import type { AssessmentContext } from "../../../engine/assess/check.ts";
import { installedChecks } from "../../../engine/assess/installedChecks.ts";
import { claimInstalled } from "../../../engine/installed/holder.ts";
import { closeMachines } from "../../../engine/machines/openMachine.ts";
import { testCluster } from "../../support/cluster.ts";
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
    const look = async (
        id: string,
        deployment: SelfHostedSource,
        more: object = {},
    ): Promise<Finding[] | "not-run"> => {
        const check = installedChecks.find((one) => one.id === id);
        if (check === undefined) throw new Error(`there is no check ${id}`);
        const targetSynapse = { version: "1.163.2", schema: 92, compat: 89 };
        const run = { directory: join(directory, "runs", "r1"), id: "r1" };
        const spec = { run, installed: { deployment, admin: { kind: "owner" } }, targetPython: "/venv/bin/python" };
        return check.run({ spec, targetSynapse, ...more } as unknown as AssessmentContext);
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
        expect(await look("installed-version", await installedAt(1), { begun: true })).to.deep.equal([]);
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

    it("blocks where there is no room for the media, as long as none were sent", async () => {
        const cluster = await testCluster();
        const deployment = { ...(await cluster.source(await cluster.createDatabase())), mediaStore: directory };
        const room = async (mediaBytes: number, begun = false): Promise<string> => {
            const measured = { sizes: { databaseBytes: 1024, mediaBytes } };
            return evidence(await look("installed-room", deployment, { measured, begun }));
        };
        expect(await room(2 ** 60))
            .to.match(/^SM-E1201 .*1073741824\.0 GiB are needed/)
            .and.contain(directory);
        // Its server's directory is not for Synapse's role to know.
        expect(await room(1024)).to.equal("not-run");
        expect(await room(2 ** 60, true)).to.equal("");
        await claimInstalled({ id: "r1", directory: join(directory, "runs", "r1") }, "media");
        expect(await room(2 ** 60)).to.equal("not-run");
    });

    it("blocks where there is no room for the database beside the one in use", async () => {
        const cluster = await testCluster();
        const made = await cluster.source(await cluster.createDatabase(), "postgres");
        const measured = { sizes: { databaseBytes: 2 ** 60, mediaBytes: 0 } };
        const found = await look("installed-room", { ...made, mediaStore: directory }, { measured, begun: false });
        expect(evidence(found))
            .to.match(/^SM-E1201/)
            .and.contain(join(cluster.directory, "data"));
    });
});
