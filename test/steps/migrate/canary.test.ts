import { readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { parse } from "yaml";
import { z } from "zod";
import { canaryContract, type SelfHostedSource } from "../../../contract/index.ts";
import { readCanaryTraces } from "../../../engine/probe/canaryFile.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { doStep } from "../../../engine/run/runStep.ts";
import { undoSteps } from "../../../engine/run/undoFromJournal.ts";
import { MatrixApi } from "../../../engine/synapse/api/matrixApi.ts";
import { registerCanary } from "../../../rehearsal/source/canary.ts";
import { canary } from "../../../steps/migrate/canary.ts";
import { makeSource, plainConfig } from "../../engine/synapse/sourceFixture.ts";
import { expectError } from "../../support/expectError.ts";
import { runOf, sourceOf } from "../../support/migrationSpecs.ts";
import { testRun } from "../../support/stepRun.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";

describe("the test account of a source", function () {
    this.timeout(120_000);
    let synapse: TestSynapse;
    let account: { readonly user: string; readonly password: string };
    let runs = 0;
    const said: string[] = [];
    const surroundings = { write: (line: string) => said.push(line), signal: new AbortController().signal };
    const specOf = (changes: object = {}) => ({
        ...{ run: runOf(synapse, `c${++runs}`), source: sourceOf(synapse) },
        ...{ ...account, ...changes },
    });

    /** Rooms, media, guests and sessions. */
    const ours = async (): Promise<unknown[]> => {
        const { rows } = await synapse.cluster.query(
            `SELECT room_id FROM rooms UNION ALL SELECT media_id FROM local_media_repository
            UNION ALL SELECT name FROM users WHERE is_guest = 1 AND deactivated = 0 OR name LIKE '@synapse-migration%'
            UNION ALL SELECT device_id FROM devices WHERE display_name LIKE 'synapse-migration%' AND device_id <> 'guest_device'`,
        );
        return [...z.array(z.unknown()).parse(rows)];
    };

    before(async () => {
        synapse = await startTestSynapse();
        account = await registerCanary(synapse.homeserver, "canary-test");
    });
    after(() => synapse.stop());

    it("leaves traces, which are taken back without its password where Pulumi does not know of them", async () => {
        const spec = specOf();
        const result = canaryContract.result.parse(JSON.parse(await doStep({ step: canary, spec, ...surroundings })));
        expect(result.userId).to.equal(`@${account.user}:${synapse.homeserver.serverName}`);
        const { accessToken, roomId } = await readCanaryTraces(result.canaryFile);
        const api = new MatrixApi(synapse.homeserver.baseUrl);
        const joined = async (): Promise<unknown> =>
            (await api.ask("/_matrix/client/v3/joined_rooms", { accessToken })).json;
        expect(await joined()).to.deep.equal({ joined_rooms: [roomId] });

        await undoSteps(["canary"], spec.run.directory, () => Promise.resolve(canary), surroundings);
        expect(z.object({ errcode: z.string() }).parse(await joined()).errcode).to.equal("M_UNKNOWN_TOKEN");
        expect(await stat(join(spec.run.directory, "canary.json")).catch(() => "absent")).to.equal("absent");
        expect(said.join("\n")).not.to.include("stays on the source").and.not.to.include(account.password);
        expect(await ours()).to.deep.equal([]);
    });

    it("is taken back with all that attempts have left which were killed before they could note it", async () => {
        const spec = specOf();
        const run = testRun(spec.run.id, spec.run.directory);
        await prepareRunDirectory(spec.run.directory);
        await canary.act(spec, run);
        run.actions.clear();
        await canary.act(spec, run);
        expect(await ours()).to.have.length(8);
        await rm(join(spec.run.directory, "canary.json"));
        await canary.undo?.(spec, run);
        expect(await ours()).to.deep.equal([]);
        expect(run.said.join("\n")).not.to.include("stays on the source");
    });

    it("leaves a source alone that was left for good, and keeps none of its tokens", async () => {
        const spec = specOf();
        const run = testRun(spec.run.id, spec.run.directory);
        await prepareRunDirectory(spec.run.directory);
        await canary.act(spec, run);
        for (const kind of ["intent", "done"] as const)
            await run.journal.append({ step: "commit", phase: "cutover", kind });
        const left = await ours();
        await canary.undo?.(spec, run);
        expect(await ours()).to.deep.equal(left);
        expect(await stat(join(spec.run.directory, "canary.json")).catch(() => "absent")).to.equal("absent");
        await canary.undo?.(spec, testRun(spec.run.id, spec.run.directory));
        expect(await ours()).to.deep.equal([]);
    });

    it("at least leaves its room and is logged out where no administrator can be made, and says what stays", async () => {
        const spec = specOf();
        const run = testRun(spec.run.id, spec.run.directory);
        await prepareRunDirectory(spec.run.directory);
        const { accessToken } = await readCanaryTraces((await canary.act(spec, run)).canaryFile);
        const taken = `@synapse-migration-${spec.run.id}:${synapse.homeserver.serverName}`;
        await synapse.cluster.query(`INSERT INTO users (name, creation_ts, admin) VALUES ('${taken}', 1, 0)`);
        await canary.undo?.(spec, run);
        expect(run.said.join("\n")).to.match(/stays on the source: SM-E0607[\s\S]*its room and is logged out/);
        const api = new MatrixApi(synapse.homeserver.baseUrl);
        expect((await api.ask("/_matrix/client/v3/joined_rooms", { accessToken })).errcode).to.equal("M_UNKNOWN_TOKEN");
        const forgotten = await synapse.cluster.query("SELECT 1 FROM room_memberships WHERE forgotten = 1");
        expect(forgotten.rows).not.to.deep.equal([]);
        await synapse.cluster.query(`DELETE FROM users WHERE name = '${taken}'`);
        await canary.undo?.(spec, run);
        expect(await ours(), "the undo once more").to.deep.equal([]);
    });

    it("is used through a Unix socket where the source listens on nothing else", async () => {
        const { configFile, mediaStore } = synapse.homeserver.files;
        // A directory that Synapse's user may make a socket in.
        const socket = join(mediaStore, "..", "clients.sock");
        const config = z
            .looseObject({ listeners: z.array(z.unknown()) })
            .parse(parse(await readFile(configFile, "utf8")));
        const onSocket = { type: "http", path: socket, resources: [{ names: ["client"] }] };
        await synapse.homeserver.stop();
        await writeFile(configFile, JSON.stringify({ ...config, listeners: [...config.listeners, onSocket] }));
        await synapse.homeserver.startAgain();
        const socketOnly = join(synapse.directory, "socket-only.yaml");
        await writeFile(socketOnly, JSON.stringify({ ...config, listeners: [onSocket] }), { mode: 0o600 });
        const source = { ...sourceOf(synapse), homeserverConfig: [socketOnly] };
        for (const spec of [specOf({ source }), specOf({ baseUrl: `http+unix://${encodeURIComponent(socket)}` })]) {
            const result = canaryContract.result.parse(
                JSON.parse(await doStep({ step: canary, spec, ...surroundings })),
            );
            expect(result.notLeft).to.deep.equal([]);
        }
        const nobody = new MatrixApi(`http+unix://${encodeURIComponent(`${socket}.not`)}`);
        const { detail } = await expectError("SM-E1106", () => nobody.ask("/_matrix/client/versions"));
        expect(detail.found).to.contain("ENOENT");
    });

    it("is refused with SM-E0604 where it cannot log in, and leaves nothing", async () => {
        const spec = specOf({ password: "not the password of it" });
        const { detail } = await expectError("SM-E0604", () => doStep({ step: canary, spec, ...surroundings }));
        expect(detail.found).to.equal("the answer 403 M_FORBIDDEN");
        expect(detail.where).to.include("/_matrix/client/v3/login");
        expect(await stat(join(spec.run.directory, "canary.json")).catch(() => "absent")).to.equal("absent");
    });

    it("is refused with SM-E0604 where the source serves no clients", async () => {
        const fixture = await makeSource((directory) =>
            plainConfig(directory).replace("[client, federation]", "[federation]"),
        );
        try {
            const source: SelfHostedSource = fixture.source;
            const run = testRun("c", fixture.directory);
            const spec = { run: { id: "c", directory: fixture.directory }, source, ...account };
            const { detail } = await expectError("SM-E0604", () => canary.act(spec, run));
            expect(detail).to.include({
                where: fixture.configFile,
                found: "no listener of type http with the resource `client`",
            });
        } finally {
            await fixture.remove();
        }
    });
});
