import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { z } from "zod";
import type { purgeRemoteMediaContract, TargetDatabase } from "../../../contract/index.ts";
import { remoteContentPath } from "../../../engine/media/layout.ts";
import { query, withClient } from "../../../engine/postgres/connection.ts";
import { createMarker } from "../../../engine/postgres/databases/marker.ts";
import { writeCanaryTraces } from "../../../engine/probe/canaryFile.ts";
import { logIn } from "../../../engine/synapse/api/login.ts";
import { MatrixApi } from "../../../engine/synapse/api/matrixApi.ts";
import { purgeRemoteMedia } from "../../../steps/migrate/purgeRemoteMedia.ts";
import { withTemporaryAdmin } from "../../../engine/probe/temporaryAdmin.ts";
import { MatrixClient } from "../../../rehearsal/source/matrixClient.ts";
import { register } from "../../../rehearsal/source/population/accounts.ts";
import { Chance } from "../../../rehearsal/source/population/random.ts";
import { expectError } from "../../support/expectError.ts";
import { withScriptedServer, type Script } from "../../support/scriptedServer.ts";
import { testRun, type TestRun } from "../../support/stepRun.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";
import { startTamperingProxy } from "../../support/tamperingProxy.ts";

const serverName = "rehearsal.test";
const temporary = `@synapse-migration-r1:${serverName}`;
/** Cached media: where from, whether it is quarantined, and when it was last asked for. */
interface Cached {
    readonly mediaId: string;
    readonly quarantined?: true;
    readonly accessed?: number | null;
    /** Whether its file is there. */
    readonly file?: true;
}

describe("the clean-up of cached media that did not come along", function () {
    this.timeout(120_000);
    let synapse: TestSynapse;
    let database: TargetDatabase;

    before(async () => {
        synapse = await startTestSynapse({ serverName });
        const { host, port, name, user, password } = synapse.cluster.synapse;
        const passwordFile = join(synapse.directory, "password");
        await writeFile(passwordFile, password, { mode: 0o600 });
        database = {
            ...{ host, port, name, owner: user, ownerPasswordFile: passwordFile },
            ...{ admin: user, adminPasswordFile: passwordFile, clientDirectory: "/usr/bin" },
        };
        await withClient(synapse.cluster.synapse, { step: "test" }, (client) =>
            createMarker(client, "r1", serverName, "swapped"),
        );
    });
    after(async () => {
        await synapse.stop();
    });
    beforeEach(async () => {
        for (const table of ["remote_media_cache", "remote_media_cache_thumbnails"])
            await synapse.cluster.query(`DELETE FROM ${table}`);
        await synapse.cluster.query("DELETE FROM local_media_repository_url_cache");
    });

    async function cache(media: readonly Cached[]): Promise<void> {
        for (const { mediaId, quarantined, accessed = 1_700_000_000_000, file } of media) {
            const filesystemId = `file${mediaId}`;
            await synapse.cluster.query(
                `INSERT INTO remote_media_cache (media_origin, media_id, media_type, created_ts, upload_name, media_length,
                    filesystem_id, last_access_ts, quarantined_by) VALUES ('elsewhere.test', '${mediaId}', 'image/png', 1600000000000,
                    'a.png', 4, '${filesystemId}', ${accessed ?? "NULL"}, ${quarantined ? "'@admin:rehearsal.test'" : "NULL"})`,
            );
            await synapse.cluster.query(
                `INSERT INTO remote_media_cache_thumbnails (media_origin, media_id, thumbnail_width, thumbnail_height, thumbnail_method,
                    thumbnail_type, thumbnail_length, filesystem_id)
                    VALUES ('elsewhere.test', '${mediaId}', 32, 32, 'crop', 'image/png', 3, '${filesystemId}')`,
            );
            if (file !== true) continue;
            const path = join(
                synapse.homeserver.files.mediaStore,
                remoteContentPath("elsewhere.test", filesystemId) ?? "",
            );
            await mkdir(dirname(path), { recursive: true });
            await writeFile(path, "here");
        }
    }

    type Spec = z.infer<typeof purgeRemoteMediaContract.spec>;
    const specOf = (more: Partial<Spec> = {}): Spec => ({
        run: { id: "r1", directory: synapse.directory },
        ...{ serverName, database, baseUrl: synapse.homeserver.baseUrl, startedAt: new Date().toISOString() },
        mediaStore: synapse.homeserver.files.mediaStore,
        ...more,
    });
    const newRun = (): TestRun => testRun("r1", synapse.directory);
    const rows = async (table: string): Promise<number> =>
        (await synapse.cluster.query(`SELECT 1 FROM ${table}`)).rows.length;
    async function account(user: string): Promise<{ user: string; password: string }> {
        const { baseUrl, files } = synapse.homeserver;
        const { registrationSharedSecret } = files;
        const site = {
            serverName,
            client: new MatrixClient(baseUrl),
            chance: new Chance("test"),
            registrationSharedSecret,
        };
        const password = `password of ${user}`;
        await register(site, user, password);
        return { user, password };
    }
    /** Whatever is left of an account or token of ours. */
    const traces = async (): Promise<unknown[]> =>
        withClient(synapse.cluster.synapse, { step: "test" }, (client) =>
            query(
                client,
                z.unknown(),
                `SELECT name FROM public.users WHERE name LIKE '@synapse-migration%' UNION ALL
                    SELECT user_id FROM public.access_tokens WHERE user_id LIKE '@synapse-migration%' OR id < 0`,
            ),
        );

    it("purges every row without a file with an account that is gone afterwards, and previews stay", async () => {
        await cache([{ mediaId: "one" }, { mediaId: "two", accessed: Date.now() + 3_600_000 }]);
        await synapse.cluster.query(
            `INSERT INTO local_media_repository_url_cache (url, response_code, etag, expires_ts, og, media_id, download_ts)
                VALUES ('https://a.test/', 200, 'e', 1, '{}', '2026-01-01_abc', 1)`,
        );
        const run = newRun();
        const result = await purgeRemoteMedia.act(specOf(), run);
        expect(result).to.include({ purged: 2, withoutFile: 0, quarantined: 0, askedAs: "temporary account" });
        expect(result.checks.map(({ id, state }) => `${id} ${state}`)).to.deep.equal([
            "remote-media.purged passed",
            "remote-media.fetched passed",
        ]);
        expect(await rows("remote_media_cache")).to.equal(0);
        expect(await rows("remote_media_cache_thumbnails")).to.equal(0);
        expect(await rows("local_media_repository_url_cache")).to.equal(1);
        expect(await traces()).to.deep.equal([]);
        expect(run.actions.get("temporary-account")).to.equal(temporary);
    });

    it("asks for media that was forgotten, and the answer is no error of the server", async () => {
        await cache([{ mediaId: "older", accessed: 1_600_000_000_000 }, { mediaId: "newer" }]);
        const { checks } = await purgeRemoteMedia.act(specOf(), newRun());
        const [, fetched] = checks;
        expect(fetched?.evidence).to.match(/^mxc:\/\/elsewhere\.test\/newer is answered with (403|404|502|504): /);
    });

    it("leaves quarantined media quarantined, so that nobody fetches it again", async () => {
        await cache([{ mediaId: "bad", quarantined: true }, { mediaId: "good" }]);
        const result = await purgeRemoteMedia.act(specOf(), newRun());
        expect(result).to.include({ purged: 1, withoutFile: 0, quarantined: 1 });
        expect(result.checks[0]?.evidence).to.contain("1 that are quarantined stay");
        expect(await rows("remote_media_cache WHERE quarantined_by IS NOT NULL")).to.equal(1);
    });

    it("uses the test account where that is an administrator, and makes none then", async () => {
        const { user, password } = await account("administrator");
        await synapse.cluster.query(`UPDATE users SET admin = 1 WHERE name = '@${user}:${serverName}'`);
        await cache([{ mediaId: "one" }]);
        const run = newRun();
        const result = await purgeRemoteMedia.act(specOf({ canaryUser: user, canaryPassword: password }), run);
        expect(result).to.include({ purged: 1, askedAs: "test account" });
        expect(run.actions.has("temporary-account")).to.equal(false);
        expect(await rows("access_tokens")).to.equal(0);
    });

    it("tells what was done, and whose session is left, where the test account cannot be logged out", async () => {
        const { user, password } = await account("stayer");
        await synapse.cluster.query(`UPDATE users SET admin = 1 WHERE name = '@${user}:${serverName}'`);
        await cache([{ mediaId: "one" }]);
        const proxy = await startTamperingProxy(synapse.homeserver.baseUrl);
        proxy.damage = ({ path }) => (path.endsWith("/logout") ? "cut" : undefined);
        try {
            const run = newRun();
            const spec = specOf({ baseUrl: proxy.endpoint, canaryUser: user, canaryPassword: password });
            expect(await purgeRemoteMedia.act(spec, run)).to.include({ purged: 1, askedAs: "test account" });
            expect(run.said.join("\n")).to.contain('its device "synapse-migration clean-up" is still there');
        } finally {
            await proxy.stop();
        }
    });

    it("uses the token that the test account left on the source", async () => {
        const { user, password } = await account("witness");
        await synapse.cluster.query(`UPDATE users SET admin = 1 WHERE name = '@${user}:${serverName}'`);
        const login = await logIn(new MatrixApi(synapse.homeserver.baseUrl), { user, password, device: "test" });
        const canaryFile = join(synapse.directory, "canary.json");
        await writeCanaryTraces(canaryFile, {
            ...{
                userId: `@${user}:${serverName}`,
                deviceId: "D",
                accessToken: login?.accessToken ?? "",
                syncToken: "s",
            },
            ...{ roomId: "!r", eventId: "$e", eventBody: "b", media: { serverName, mediaId: "m", sha256: "0" } },
        });
        await cache([{ mediaId: "one" }]);
        const result = await purgeRemoteMedia.act(specOf({ canaryFile }), newRun());
        expect(result).to.include({ purged: 1, askedAs: "test account" });
    });

    it("does not take a test account that is none for one", async () => {
        const { user, password } = await account("somebody");
        await cache([{ mediaId: "one" }]);
        const result = await purgeRemoteMedia.act(specOf({ canaryUser: user, canaryPassword: password }), newRun());
        expect(result).to.include({ purged: 1, askedAs: "temporary account" });
    });

    it("does nothing where nothing is cached, and nothing when it is done again", async () => {
        const run = newRun();
        expect(await purgeRemoteMedia.act(specOf(), run)).to.include({ purged: 0, askedAs: "nobody" });
        await cache([{ mediaId: "one" }]);
        const second = newRun();
        await purgeRemoteMedia.act(specOf(), second);
        const again = await purgeRemoteMedia.act(specOf(), second);
        expect(again).to.include({ purged: 1, withoutFile: 0 });
        expect(again.checks.every(({ state }) => state === "passed")).to.equal(true);
    });

    it("warns with the exact call where rows are left that the clean-up never takes", async () => {
        await cache([{ mediaId: "undated", accessed: null }, { mediaId: "one" }]);
        const result = await purgeRemoteMedia.act(specOf(), newRun());
        expect(result).to.include({ purged: 1, withoutFile: 1 });
        expect(result.checks[0]).to.include({ state: "warning" });
        expect(result.checks[0]?.evidence).to.match(
            /mxc:\/\/elsewhere\.test\/undated; 1 have no time of access.*POST http:\/\/.*\/_synapse\/admin\/v1\/purge_media_cache\?before_ts=\d{13}$/,
        );
    });

    it("counts a row as fine whose file is there", async () => {
        await cache([{ mediaId: "undated", accessed: null, file: true }]);
        expect(await purgeRemoteMedia.act(specOf(), newRun())).to.include({ withoutFile: 0, purged: 0 });
    });

    for (const [what, script, reason] of [
        ["refuses its token", {}, "it answered 404 M_UNRECOGNIZED"],
        [
            "purges nothing",
            { "POST /_synapse/admin/v1/purge_media_cache": { status: 200, json: { deleted: 0 } } },
            "it answered 200 and purged nothing",
        ],
    ] satisfies [string, Script, string][]) {
        it(`warns with the exact call where the homeserver ${what}, and leaves no account`, async () => {
            await cache([{ mediaId: "one" }]);
            const result = await withScriptedServer(script, (baseUrl) =>
                purgeRemoteMedia.act(specOf({ baseUrl }), newRun()),
            );
            expect(result).to.include({ purged: 0, withoutFile: 1 });
            expect(result.checks[0]).to.include({ state: "warning" });
            expect(result.checks[0]?.evidence)
                .to.contain(reason)
                .and.to.match(/POST .*before_ts=1700000000001$/);
            expect(result.checks[1]).to.include({ state: "not-run" });
            expect(await traces()).to.deep.equal([]);
        });
    }

    describe("the account that is there for a moment", () => {
        const args = () => ({
            ...{ address: synapse.cluster.synapse, serverName, step: "test" },
            api: new MatrixApi(synapse.homeserver.baseUrl),
        });

        it("is an administrator while the work goes on, whose token Synapse refuses as soon as it has ended", async () => {
            const api = new MatrixApi(synapse.homeserver.baseUrl);
            const who = async (accessToken: string): Promise<number> =>
                (await api.ask(`/_synapse/admin/v1/users/${encodeURIComponent(temporary)}/admin`, { accessToken }))
                    .status;
            const seen: string[] = [];
            await withTemporaryAdmin(args(), newRun(), async (token) => {
                seen.push(await token(), await token());
                expect(await who(seen[0] ?? "")).to.equal(200);
            });
            expect(seen[0]).to.equal(seen[1]);
            expect(await who(seen[0] ?? "")).to.equal(401);
        });

        it("is removed when the work fails", async () => {
            const failed = withTemporaryAdmin(args(), newRun(), async (token) => {
                await token();
                throw new Error("no");
            });
            expect(await failed.catch((error: unknown) => String(error))).to.equal("Error: no");
            expect(await traces()).to.deep.equal([]);
        });

        it("is removed by the undo, and by the next attempt, after a kill; a login meanwhile gets a token", async () => {
            const { user, password } = await account("login");
            for (const clean of [
                () => purgeRemoteMedia.undo?.(specOf(), newRun()),
                () => withTemporaryAdmin(args(), newRun(), () => Promise.resolve()),
            ]) {
                await synapse.cluster.query(
                    `INSERT INTO users (name, creation_ts, admin, user_type, approved) VALUES ('${temporary}', 1, 1, 'support', true)`,
                );
                await synapse.cluster.query(
                    `INSERT INTO access_tokens (id, user_id, token, valid_until_ms) VALUES (-5, '${temporary}', 'syt_left', 1)`,
                );
                const login = await logIn(args().api, { user, password, device: "test" });
                expect(login?.userId).to.equal(`@${user}:${serverName}`);
                await clean();
                expect(await traces()).to.deep.equal([]);
            }
        });

        it("is never one that somebody has", async () => {
            await synapse.cluster.query(`INSERT INTO users (name, creation_ts, admin) VALUES ('${temporary}', 1, 0)`);
            try {
                await expectError("SM-E0607", () => withTemporaryAdmin(args(), newRun(), (token) => token()));
                await purgeRemoteMedia.undo?.(specOf(), newRun());
                expect(await rows(`users WHERE name = '${temporary}'`)).to.equal(1);
            } finally {
                await synapse.cluster.query(`DELETE FROM users WHERE name = '${temporary}'`);
            }
        });
    });
});
