import { join } from "node:path";
import { writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { expect } from "chai";
import { z } from "zod";
import { clearTracesContract, type TargetDatabase } from "../../../contract/index.ts";
import { query, withClient } from "../../../engine/postgres/connection.ts";
import { canaryChecks } from "../../../engine/probe/canaryChecks.ts";
import { readCanaryTraces, type CanaryTraces } from "../../../engine/probe/canaryFile.ts";
import { logIn } from "../../../engine/synapse/api/login.ts";
import { MatrixApi } from "../../../engine/synapse/api/matrixApi.ts";
import { registerCanary } from "../../../rehearsal/source/canary.ts";
import { clearTraces } from "../../../steps/cutover/clearTraces.ts";
import { canary } from "../../../steps/migrate/canary.ts";
import { withScriptedServer } from "../../support/scriptedServer.ts";
import { sourceOf } from "../../support/migrationSpecs.ts";
import { testRun, type TestRun } from "../../support/stepRun.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";

const serverName = "rehearsal.test";

describe("the traces of the test account", function () {
    this.timeout(120_000);
    let synapse: TestSynapse;
    let database: TargetDatabase;
    let account: { readonly user: string; readonly password: string };
    let api: MatrixApi;
    let runs = 0;

    before(async () => {
        synapse = await startTestSynapse({ serverName });
        account = await registerCanary(synapse.homeserver, "traces-test");
        api = new MatrixApi(synapse.homeserver.baseUrl);
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const passwordFile = join(synapse.directory, "password");
        await writeFile(passwordFile, password, { mode: 0o600 });
        database = {
            ...{ host, port, name, owner: user, ownerPasswordFile: passwordFile },
            ...{ admin: user, adminPasswordFile: passwordFile, clientDirectory: "/usr/bin" },
        };
    });
    after(() => synapse.stop());

    const newRun = (): TestRun => testRun(`r${++runs}`, synapse.directory);
    const canarySpec = (run: TestRun) => ({
        ...{ run: { id: run.id, directory: run.directory }, source: sourceOf(synapse) },
        ...account,
    });
    /** An attempt of the step canary: each makes traces of its own, and remembers the last ones. */
    async function left(run = newRun()): Promise<CanaryTraces> {
        run.actions.clear();
        return readCanaryTraces((await canary.act(canarySpec(run), run)).canaryFile);
    }
    const specOf = (more: Partial<z.infer<typeof clearTracesContract.spec>> = {}) => ({
        run: { id: "r1", directory: synapse.directory },
        ...{ serverName, database, baseUrl: synapse.homeserver.baseUrl, canaryUser: account.user },
        ...{ openedAt: new Date().toISOString(), ...more },
    });
    const rows = (sql: string): Promise<unknown[]> =>
        withClient(synapse.cluster.synapse, { step: "test" }, (client) => query(client, z.unknown(), sql));
    /** Whatever of ours the homeserver has in the tables that people see something of. */
    const ours = async (): Promise<unknown[]> =>
        rows(`SELECT room_id FROM public.rooms WHERE creator LIKE '@${account.user}:%'
            UNION ALL SELECT user_id FROM public.room_memberships WHERE user_id LIKE '@${account.user}:%'
            UNION ALL SELECT media_id FROM public.local_media_repository
            UNION ALL SELECT device_id FROM public.devices WHERE display_name LIKE 'synapse-migration%'
            UNION ALL SELECT token FROM public.access_tokens
            UNION ALL SELECT name FROM public.users WHERE is_guest = 1 AND deactivated = 0 OR name LIKE '@synapse-migration%'`);
    const mediaFiles = (): string[] =>
        readdirSync(join(synapse.homeserver.files.mediaStore, "local_content"), {
            recursive: true,
            withFileTypes: true,
        })
            .filter((entry) => entry.isFile())
            .map(({ name }) => name);

    it("are gone from the homeserver: those of the probe, of this run, of attempts that were killed, of earlier runs", async () => {
        const [earlier, run] = [newRun(), newRun()];
        await left(earlier);
        await left(run);
        const traces = await left(run);
        expect(mediaFiles()).to.have.length(3);
        const checks = await canaryChecks(api, traces, { ...account, pepper: undefined }, { runId: run.id });
        expect(checks.filter(({ state }) => state !== "passed")).to.deep.equal([]);
        // A login of the probe that was killed before it could end its session.
        await logIn(api, { ...account, device: "synapse-migration probe" });
        // A room that the account has left, as an earlier version's undo did.
        await api.ask(`/_matrix/client/v3/rooms/${encodeURIComponent(traces.roomId)}/leave`, {
            ...{ method: "POST", accessToken: traces.accessToken, body: {} },
        });

        const cleared = testRun("r1", synapse.directory);
        // Four rooms, three media, guests and devices of the canary, one device of the probe.
        expect(await clearTraces.act(specOf(), cleared)).to.deep.equal({ removed: 14, left: 0 });
        expect(await ours()).to.deep.equal([]);
        expect(mediaFiles()).to.deep.equal([]);
        expect(cleared.said.join("\n")).not.to.include("stay");
        const { accessToken } = traces;
        expect((await api.ask("/_matrix/client/v3/account/whoami", { accessToken })).errcode).to.equal(
            "M_UNKNOWN_TOKEN",
        );
    });

    it("are nothing to make an account for where there are none; one that a kill has left is removed", async () => {
        const run = testRun("r1", synapse.directory);
        expect(await clearTraces.act(specOf(), run)).to.deep.equal({ removed: 0, left: 0 });
        expect(run.actions.size).to.equal(0);
        await synapse.cluster.query(
            `INSERT INTO users (name, creation_ts, admin, user_type, approved)
            VALUES ('@synapse-migration-r1:${serverName}', 1, 1, 'support', true)`,
        );
        await clearTraces.act(specOf(), run);
        expect(await ours()).to.deep.equal([]);
    });

    it("are never what a person has: other rooms, media and sessions of the account, and rooms that others are in", async () => {
        const login = await logIn(api, { ...account, device: "a phone" });
        const accessToken = login?.accessToken ?? "";
        const made = async (body: object): Promise<string> =>
            z
                .object({ room_id: z.string() })
                .parse((await api.ask("/_matrix/client/v3/createRoom", { method: "POST", accessToken, body })).json)
                .room_id;
        const kept = [
            await made({ name: "synapse-migration canary and talk" }),
            await made({ name: "about synapse-migration canary r1" }),
            await made({ name: "synapse-migration canary r1", invite: [`@somebody:${serverName}`] }),
        ];
        await api.ask("/_matrix/media/v3/upload?filename=canary.bin", {
            ...{ method: "POST", accessToken, bytes: { content: new Uint8Array(5), type: "application/octet-stream" } },
        });
        const before = await ours();
        expect(await clearTraces.act(specOf(), newRun())).to.deep.equal({ removed: 0, left: 0 });
        expect(await ours()).to.deep.equal(before);
        const joined = await api.ask("/_matrix/client/v3/joined_rooms", { accessToken });
        expect(z.object({ joined_rooms: z.array(z.string()) }).parse(joined.json).joined_rooms).to.have.members(kept);
    });

    it("are named with the call that removes each where the homeserver refuses, and nothing fails", async () => {
        const traces = await left();
        const run = testRun("r1", synapse.directory);
        const result = await withScriptedServer({}, (baseUrl) => clearTraces.act(specOf({ baseUrl }), run));
        expect(result).to.deep.equal({ removed: 0, left: 4 });
        expect(run.said.join("\n"))
            .to.include("4 traces of the test account stay")
            .and.include(`room ${traces.roomId} (DELETE /_synapse/admin/v1/rooms/`)
            .and.include("answered 404 M_UNRECOGNIZED");
        expect(await rows("SELECT 1 FROM public.users WHERE name LIKE '@synapse-migration%'")).to.deep.equal([]);
        expect(await clearTraces.act(specOf(), run), "the next phase").to.deep.equal({ removed: 4, left: 0 });
    });

    it("are said to be there still where the homeserver does not answer, and nothing fails", async () => {
        await left();
        const run = testRun("r1", synapse.directory);
        const result = await clearTraces.act(specOf({ baseUrl: "http://127.0.0.1:9" }), run);
        expect(result).to.deep.equal({ removed: 0 });
        expect(run.said.join("\n")).to.match(/may still be there: SM-E1106/);
        await clearTraces.act(specOf(), run);
    });
});
