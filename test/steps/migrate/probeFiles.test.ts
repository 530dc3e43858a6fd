import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import { probeContract, type Check, type TargetDatabase } from "../../../contract/index.ts";
import { localContentPath } from "../../../engine/media/layout.ts";
import { query, withClient } from "../../../engine/postgres/connection.ts";
import { parseSigningKeys, verifyKeysOf } from "../../../engine/synapse/secrets/signingKey.ts";
import { logIn } from "../../../engine/synapse/api/login.ts";
import { MatrixApi, type MatrixRequest } from "../../../engine/synapse/api/matrixApi.ts";
import { registerCanary } from "../../../rehearsal/source/canary.ts";
import { probe } from "../../../steps/migrate/probe.ts";
import { expectError } from "../../support/expectError.ts";
import { secretsOf } from "../../support/migrationSpecs.ts";
import { testRun, type TestRun } from "../../support/stepRun.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";

const serverName = "rehearsal.test";

describe("the probe of a homeserver that came as files", function () {
    this.timeout(120_000);
    let synapse: TestSynapse;
    let database: TargetDatabase;
    let account: { readonly user: string; readonly password: string };
    let api: MatrixApi;
    let accessToken = "";
    let mediaIds: readonly string[] = [];
    let runs = 0;

    before(async () => {
        synapse = await startTestSynapse({ serverName });
        account = await registerCanary(synapse.homeserver, "probe-files");
        api = new MatrixApi(synapse.homeserver.baseUrl);
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const passwordFile = join(synapse.directory, "password");
        await writeFile(passwordFile, password, { mode: 0o600 });
        database = {
            ...{ host, port, name, owner: user, ownerPasswordFile: passwordFile },
            ...{ admin: user, adminPasswordFile: passwordFile, clientDirectory: "/usr/bin" },
        };
        // What the account had before the files were made.
        const login = await logIn(api, { ...account, device: "Element on a phone" });
        accessToken = login?.accessToken ?? expect.fail("no login");
        const { room_id: room } = await asked(z.object({ room_id: z.string() }), "/_matrix/client/v3/createRoom", {
            ...{ method: "POST", body: { preset: "private_chat" } },
        });
        const path = `/_matrix/client/v3/rooms/${encodeURIComponent(room)}/send/m.room.message/t1`;
        await asked(z.object({}), path, { method: "PUT", body: { msgtype: "m.text", body: "before the files" } });
        mediaIds = [await uploaded("one picture"), await uploaded("and another")];
    });
    after(() => synapse.stop());

    const asked = async <T>(shape: z.ZodType<T>, path: string, request: MatrixRequest): Promise<T> =>
        shape.parse((await api.ask(path, { ...request, accessToken })).json);
    const uploaded = async (text: string): Promise<string> => {
        const bytes = { content: new TextEncoder().encode(text), type: "text/plain" };
        const shape = z.object({ content_uri: z.string() });
        const { content_uri: uri } = await asked(shape, "/_matrix/media/v3/upload", { method: "POST", bytes });
        return uri.split("/").at(-1) ?? "";
    };
    const newRun = (): TestRun => testRun(`p${++runs}`, synapse.directory);
    const specOf = (mayLackMedia = false): z.infer<typeof probeContract.spec> => {
        const { signingKey, pepper } = secretsOf(synapse);
        return {
            run: { id: "p1", directory: synapse.directory },
            ...{ serverName, baseUrl: synapse.homeserver.baseUrl, startedAt: new Date().toISOString() },
            verifyKeys: verifyKeysOf(parseSigningKeys(signingKey, "test")),
            ...{ pepper, canaryUser: account.user, canaryPassword: account.password },
            known: { database, mayLackMedia },
        };
    };
    const checksOf = (run: TestRun): readonly Check[] =>
        z.object({ checks: z.array(z.custom<Check>()) }).parse(run.evidences.at(-1)).checks;
    const probed = async (mayLackMedia = false): Promise<Record<string, Check>> => {
        const run = newRun();
        await probe.act(specOf(mayLackMedia), run);
        return Object.fromEntries(checksOf(run).map((check) => [check.id, check]));
    };
    const failing = async (): Promise<string> => (await expectError("SM-E0602", () => probed())).detail.found;
    const rows = (sql: string): Promise<unknown[]> =>
        withClient(synapse.cluster.synapse, { step: "test" }, (client) => query(client, z.unknown(), sql));
    const fileOf = (mediaId: string): string =>
        join(synapse.homeserver.files.mediaStore, localContentPath(mediaId) ?? "");
    /** Whatever of ours the homeserver has, and how much there is of all. */
    const state = async (): Promise<unknown> => [
        await rows(`SELECT (SELECT count(*)::int FROM public.rooms) AS rooms, (SELECT count(*)::int FROM public.access_tokens) AS tokens,
            (SELECT count(*)::int FROM public.local_media_repository) AS media,
            (SELECT count(*)::int FROM public.users) AS users, (SELECT array_agg(display_name ORDER BY 1) FROM public.devices WHERE NOT hidden) AS devices`),
        (
            await readdir(join(synapse.homeserver.files.mediaStore, "local_content"), {
                recursive: true,
                withFileTypes: true,
            })
        )
            .filter((entry) => entry.isFile())
            .map(({ name }) => name)
            .sort(),
    ];

    it("finds what the database names, tries what every user does, and takes back what it has left", async () => {
        const before = await state();
        const checks = await probed();
        const passing = ["password-pepper", "old-access-token", "known-event", "known-media", "write-new-room"];
        for (const id of [...passing, "upload-media", "probe-traces"])
            expect(checks[id]?.state, `${id}: ${checks[id]?.evidence ?? "absent"}`).to.equal("passed");
        expect(checks["known-media"]?.evidence).to.contain("the newest 2 media");
        expect(checks["probe-traces"]?.evidence).to.match(/^2 traces/);
        expect(checks["guest-token-macaroon"]).to.include({ state: "not-run" });
        expect(await state()).to.deep.equal(before);
    });

    it("fails for media that are missing, altered or not to be read, and takes back what it has left then, too", async () => {
        const [first = ""] = mediaIds;
        const before = await state();
        await rename(fileOf(first), `${fileOf(first)}-away`);
        try {
            expect(await failing()).to.contain(
                `known-media: of the newest 2 media that the database names: ${first}: 404`,
            );
            const lacking = (await probed(true))["known-media"];
            expect(lacking?.state).to.equal("warning");
            await writeFile(fileOf(first), "one pictuRe");
            expect(await failing()).to.contain(`${first}: 200 with other bytes`);
            await rm(fileOf(first));
        } finally {
            await rename(`${fileOf(first)}-away`, fileOf(first));
        }
        expect(await state()).to.deep.equal(before);
    });

    it("fails for a token of the account's that is not accepted, and warns where nobody has one", async () => {
        await rows("CREATE TABLE public.kept AS SELECT * FROM public.access_tokens");
        try {
            // Synapse has the token in its memory as it was.
            await api.ask("/_matrix/client/v3/account/whoami", { accessToken });
            await rows("UPDATE public.access_tokens SET device_id = 'ANOTHER'");
            expect(await failing()).to.contain("old-access-token: whoami answered 200");
            await rows("DELETE FROM public.access_tokens");
            expect((await probed())["old-access-token"]).to.include({ state: "not-run" });
            await rows(
                `INSERT INTO public.users (name, creation_ts, deactivated, is_guest) VALUES ('@phone:${serverName}', 1, 0, 0);`,
            );
            await rows(
                `INSERT INTO public.devices (user_id, device_id, last_seen, hidden) VALUES ('@phone:${serverName}', 'D', 1, false)`,
            );
            const warned = (await probed())["old-access-token"];
            expect(warned?.state).to.equal("warning");
            expect(warned?.evidence).to.contain("none of 1 accounts with a device has an access token");
        } finally {
            await rows("INSERT INTO public.access_tokens SELECT * FROM public.kept ON CONFLICT DO NOTHING");
            await rows("DROP TABLE public.kept");
            await rows(`DELETE FROM public.devices WHERE user_id = '@phone:${serverName}'`);
            await rows(`DELETE FROM public.users WHERE name = '@phone:${serverName}'`);
        }
    });

    it("fails for an event that reads otherwise than the database has it", async () => {
        const where = "WHERE json LIKE '%before the files%'";
        await rows(
            `UPDATE public.event_json SET json = replace(json, 'before the files', 'after the files!') ${where}`,
        );
        // Synapse has the event in its memory as it was.
        expect(await failing()).to.contain("known-event: the event was answered with 200");
        await rows("UPDATE public.event_json SET json = replace(json, 'after the files!', 'before the files')");
        expect((await probed())["known-event"]).to.include({ state: "passed" });
    });

    it("runs nothing of it where the password is not accepted", async () => {
        const run = newRun();
        const wrong = { ...specOf(), canaryPassword: "not-the-password-4c1e" };
        const { detail } = await expectError("SM-E0602", () => probe.act(wrong, run));
        expect(detail.found).to.match(/^password-pepper: the login with the password of the test account was refused$/);
        const notRun = checksOf(run).filter(({ state: how }) => how === "not-run");
        expect(notRun.map(({ id }) => id)).to.include.members(["known-media", "write-new-room", "upload-media"]);
    });

    it("removes the account that a killed attempt has made to take its traces back", async () => {
        const name = `@synapse-migration-p99:${serverName}`;
        await rows(
            `INSERT INTO public.users (name, creation_ts, admin, is_guest, deactivated, user_type) VALUES ('${name}', 1, 1, 0, 0, 'support')`,
        );
        await probe.undo?.(specOf(), testRun("p99", synapse.directory));
        expect(await rows(`SELECT name FROM public.users WHERE name = '${name}'`)).to.deep.equal([]);
    });
});
