import { chmod, chown, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import type { z } from "zod";
import { mediaRepoTarget, type handMediaContract } from "../../../contract/index.ts";
import { handMedia } from "../../../steps/migrate/handMedia.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { presentMedia } from "../../../engine/media/mediaRepoArchive/proof.ts";
import { readHandedManifest } from "../../../engine/media/mediaRepo/handedManifest.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { testCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { testRun, type TestRun } from "../../support/stepRun.ts";
import { fill, rowOf, serverName, writeArchive } from "../../engine/media/mediaRepoArchive/fixtures.ts";

type Spec = z.infer<typeof handMediaContract.spec>;

const standIn = fileURLToPath(new URL("../../engine/media/mediaRepo/standInImporter.py", import.meta.url));

const quarantinedBy = `@admin:${serverName}`;
const someMedia = [
    { row: rowOf("plainText", "hello"), content: "hello" },
    { row: rowOf("emptyFile", ""), content: "" },
    { row: rowOf("aBcdefgh", "one"), content: "one" },
    { row: rowOf("abcdefgh", "two"), content: "two" },
    { row: rowOf("quarantined", "bad", { quarantinedBy }), content: "bad" },
    { row: rowOf("oddName", "odd", { uploadName: "Ünï 😀 'quoted'.txt" }), content: "odd" },
    { row: rowOf("bareMedia", "bare", { uploadName: null, mediaType: null, userId: null }), content: "bare" },
    { row: rowOf("pending", "", { mediaLength: null, sha256: null }) },
];
const expected = someMedia.length - 1;

interface Place {
    readonly directory: string;
    readonly repository: string;
    readonly run: TestRun;
    /** With the importer of that name, and settings of matrix-media-repo's configuration. */
    readonly spec: (mode?: string, changes?: Partial<Spec["mediaRepo"]>, settings?: string) => Promise<Spec>;
    readonly query: (sql: string) => Promise<Record<string, unknown>[]>;
}

/** A source with media, and an installed matrix-media-repo, which is nothing but a configuration, a program and a database. */
async function withPlace(
    work: (place: Place) => Promise<void>,
    media: Parameters<typeof fill>[2] = someMedia,
): Promise<void> {
    const cluster = await testCluster();
    const directory = await mkdtemp(join(tmpdir(), "hand-media-"));
    try {
        await chmod(directory, 0o755);
        const name = await cluster.createDatabase("synapse");
        const repository = await cluster.createDatabase();
        const mediaStore = join(directory, "store");
        await withClient(cluster.address(name), { step: "test" }, (client) => fill(client, mediaStore, media));
        const source = { ...(await cluster.source(name)), mediaStore };
        const runDirectory = join(directory, "run");
        await mkdir(runDirectory, { mode: 0o700 });
        const run = testRun("r1", runDirectory);
        const programs = join(directory, "bin");
        await mkdir(programs);
        await symlink(join(cluster.programs, "psql"), join(programs, "psql"));
        await mkdir(join(directory, "datastore"));
        const user = serviceUser();
        if (user !== undefined) await chown(join(directory, "datastore"), user.uid, user.gid);
        const { password = "" } = cluster.address(repository);
        const spec: Place["spec"] = async (
            mode = "",
            changes = {},
            settings = `homeservers: [{name: ${serverName}}]`,
        ) => {
            const importer = join(programs, mode === "" ? "gdpr_import" : `gdpr_import-${mode}`);
            await copyFile(standIn, importer);
            await chmod(importer, 0o755);
            const config = join(directory, "media-repo.yaml");
            await writeFile(
                config,
                `database:\n  postgres: "postgres://synapse:${password}@127.0.0.1:${cluster.port}/${repository}?sslmode=disable"\n` +
                    `datastores: [{type: file, id: file1, forKinds: [all], opts: {path: ${join(directory, "datastore")}}}]\n${settings}\n`,
                { mode: 0o600 },
            );
            if (user !== undefined) await chown(config, user.uid, user.gid);
            const target = { kind: "mediaRepo", importer, config, directory: join(directory, "hand") };
            const mediaRepo = mediaRepoTarget.parse({ ...target, ...changes });
            return { run: { id: "r1", directory: runDirectory }, source, mediaRepo };
        };
        await work({ directory, repository, run, spec, query: (sql) => cluster.query(repository, sql) });
    } finally {
        await rm(directory, { recursive: true, force: true });
    }
}

/** matrix-media-repo's admin API, as far as quarantines go. @returns what it was asked */
async function withRepositoryServer(
    answer: (request: { path: string; host: string; token: string }) => Promise<number>,
    work: (baseUrl: string) => Promise<void>,
): Promise<string[]> {
    const asked: string[] = [];
    const server = createServer((request, response) => {
        const { host = "", authorization = "" } = request.headers;
        asked.push(`${request.method ?? ""} ${host} ${request.url ?? ""}`);
        void answer({ path: request.url ?? "", host, token: authorization.replace("Bearer ", "") }).then((status) => {
            response.writeHead(status, { "content-type": "application/json" }).end('{"num_quarantined":1}');
        });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    try {
        await work(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    } finally {
        server.closeAllConnections();
        server.close();
    }
    return asked;
}

const shared = `homeservers: [{name: ${serverName}}]\nsharedSecretAuth: {enabled: true, token: a-shared-secret-for-tests}`;

describe("handing media to matrix-media-repo", function () {
    this.timeout(60_000);

    it("has all of it arrive, asks the database for every item, and leaves no archive behind", async () => {
        await withPlace(async ({ spec, run, directory, query }) => {
            const given = await spec();
            const result = await handMedia.act(given, run);
            expect(result).to.include({ media: expected, imported: expected, servedAgain: 1 });
            expect(result.checks[0]).to.include({ id: "media.arrived", state: "passed" });
            expect(await query("SELECT media_id FROM media")).to.have.length(expected);
            expect(await readdir(join(directory, "hand"))).to.deep.equal([]);
            const kept = await readHandedManifest(result.manifestFile, result.manifestDigest);
            expect(kept).to.have.length(expected);
            await expectError("SM-E0960", () => readHandedManifest(result.manifestFile, "0".repeat(64)));
        });
    });

    it("adds nothing when it is done again, and proves it again", async () => {
        await withPlace(async ({ spec, run, query }) => {
            await handMedia.act(await spec(), run);
            const before = await query("SELECT * FROM media ORDER BY media_id");
            // An importer that would add rows is not even started.
            const again = await handMedia.act(await spec("fail"), run);
            expect(again).to.include({ media: expected, imported: expected });
            expect(await query("SELECT * FROM media ORDER BY media_id")).to.deep.equal(before);
            await query("DELETE FROM media WHERE media_id = 'oddName'");
            expect(await handMedia.act(await spec(), run)).to.include({ imported: expected });
        });
    });

    it("does not believe an importer that loses media and ends well", async () => {
        await withPlace(async ({ spec, run }) => {
            const given = await spec("lose");
            const error = await expectError("SM-E0608", () => handMedia.act(given, run));
            expect(error.detail.found).to.match(/^4 of 7 media\n3 are missing \(/);
            expect(error.detail.changed).to.contain("stay there");
            expect(await handMedia.act(await spec(), run)).to.include({ media: expected });
        });
    });

    it("notices media that the importer altered", async () => {
        await withPlace(async ({ spec, run }) => {
            const given = await spec("alter");
            const error = await expectError("SM-E0608", () => handMedia.act(given, run));
            expect(error.detail.found).to.match(/7 are different \(.*: type/);
        });
    });

    it("ends an importer that hangs at its deadline", async () => {
        await withPlace(async ({ spec, run, directory }) => {
            const given = await spec("hang", { deadlineHours: 0.001 });
            const error = await expectError("SM-E1101", () => handMedia.act(given, run));
            expect(error.detail.found).to.contain("still running after 3.6 s");
            expect(await readdir(join(directory, "hand"))).to.deep.equal([]);
        });
    });

    it("says how an importer failed, and goes on from there the next time", async () => {
        await withPlace(async ({ spec, run, query }) => {
            const given = await spec("fail");
            const error = await expectError("SM-E1101", () => handMedia.act(given, run));
            expect(error.detail.found).to.contain("exit code 1").and.to.contain("panic: something is wrong");
            expect(await query("SELECT 1 FROM media")).to.have.length(1);
            const result = await handMedia.act(await spec(), run);
            expect(result).to.include({ media: expected, imported: expected });
        });
    });

    it("changes nothing where matrix-media-repo does not serve the homeserver, or refuses media as long", async () => {
        await withPlace(async ({ spec, run, query }) => {
            const elsewhere = await spec("", {}, "homeservers: [{name: elsewhere.test}]");
            const unknown = await expectError("SM-E0530", () => handMedia.act(elsewhere, run));
            expect(unknown.detail).to.include({ found: "elsewhere.test", expected: serverName });
            const short = await spec("", {}, `homeservers: [{name: ${serverName}}]\nuploads: {maxBytes: 4}`);
            const long = await expectError("SM-E0531", () => handMedia.act(short, run));
            expect(long.detail).to.include({ found: "uploads.maxBytes is 4" });
            expect(long.detail.expected).to.contain("at least 5");
            expect(await query("SELECT to_regclass('media') AS made")).to.deep.equal([{ made: null }]);
        });
    });

    it("never puts media beside other content of the same id", async () => {
        await withPlace(async ({ spec, run, query }) => {
            await handMedia.act(await spec(), run);
            await query("UPDATE media SET sha256_hash = 'other' WHERE media_id = 'plainText'");
            const given = await spec();
            const error = await expectError("SM-E0965", () => handMedia.act(given, run));
            expect(error.detail.found).to.contain("plainText: content");
        });
    });

    it("goes on with media that was there before under another name, and says so", async () => {
        await withPlace(async ({ spec, run, query }) => {
            await handMedia.act(await spec(), run);
            await query("UPDATE media SET upload_name = 'another' WHERE media_id = 'plainText'");
            const { checks } = await handMedia.act(await spec(), run);
            expect(checks[0]).to.include({ state: "warning" });
            expect(checks[0]?.evidence).to.contain("plainText: name");
        });
    });

    describe("media that is quarantined", () => {
        it("is quarantined again by the admin API, with the shared secret of the configuration", async () => {
            await withPlace(async ({ spec, run, query }) => {
                const asked = await withRepositoryServer(
                    async ({ path, token }) => {
                        if (token !== "a-shared-secret-for-tests") return 401;
                        await query(
                            `UPDATE media SET quarantined = true WHERE media_id = '${path.split("/").at(-1) ?? ""}'`,
                        );
                        return 200;
                    },
                    async (baseUrl) => {
                        const result = await handMedia.act(await spec("", { baseUrl }, shared), run);
                        expect(result).to.include({ servedAgain: 0 });
                        expect(result.checks[1]).to.deep.equal({
                            ...{ id: "media.quarantine", state: "passed" },
                            evidence: "all 1 are quarantined there, too",
                        });
                    },
                );
                expect(asked).to.deep.equal([
                    `POST ${serverName} /_matrix/media/unstable/admin/quarantine/${serverName}/quarantined`,
                ]);
            });
        });

        it("is quarantined with the token of a file, and others with the same bytes are named", async () => {
            const twin = { row: rowOf("innocent", "bad"), content: "bad" };
            await withPlace(
                async ({ spec, run, query, directory }) => {
                    const adminTokenFile = join(directory, "token");
                    await writeFile(adminTokenFile, "syt_administrator_of_tests\n", { mode: 0o600 });
                    await withRepositoryServer(
                        async ({ token }) => {
                            // As the real one: by the bytes.
                            await query(
                                "UPDATE media SET quarantined = true WHERE size_bytes = 3 AND upload_name LIKE 'quarantined%' OR media_id = 'innocent'",
                            );
                            return token === "syt_administrator_of_tests" ? 200 : 401;
                        },
                        async (baseUrl) => {
                            const result = await handMedia.act(await spec("", { baseUrl, adminTokenFile }), run);
                            expect(result.checks[1]).to.include({ state: "warning" });
                            expect(result.checks[1]?.evidence).to.match(/1 others with the same bytes.*: innocent$/);
                        },
                    );
                },
                [...someMedia, twin],
            );
        });

        for (const [what, status, settings, reason] of [
            ["no token is known", 200, undefined, "neither target.media.adminTokenFile nor sharedSecretAuth"],
            ["it is refused", 401, shared, "matrix-media-repo answered 401"],
        ] as const) {
            it(`is reported with the exact call where ${what}`, async () => {
                await withPlace(async ({ spec, run, directory }) => {
                    await withRepositoryServer(
                        () => Promise.resolve(status),
                        async (baseUrl) => {
                            const result = await handMedia.act(await spec("", { baseUrl }, settings), run);
                            expect(result).to.include({ servedAgain: 1 });
                            expect(result.checks[1]).to.include({ state: "warning" });
                            expect(result.checks[1]?.evidence)
                                .to.contain(reason)
                                .and.to.contain(
                                    `POST /_matrix/media/unstable/admin/quarantine/${serverName}/quarantined`,
                                );
                            const calls = await readFile(join(directory, "run", "handed-media-quarantine.txt"), "utf8");
                            expect(calls.trim().split("\n")).to.have.length(1);
                        },
                    );
                });
            });
        }

        it("is reported where nothing answers, or nobody said where", async () => {
            await withPlace(async ({ spec, run }) => {
                const silent = await handMedia.act(await spec("", { baseUrl: "http://127.0.0.1:9" }, shared), run);
                expect(silent.checks[1]?.evidence).to.contain("matrix-media-repo does not answer");
                const { checks } = await handMedia.act(await spec(), run);
                expect(checks[1]?.evidence).to.contain("target.media.baseUrl does not say");
            });
        });
    });

    describe("a source that comes as files", () => {
        it("gives its archive as it was checked, and an archive that is damaged is not given on", async () => {
            await withPlace(async ({ spec, run, directory, query }) => {
                const media = join(directory, "export");
                await mkdir(media);
                await writeArchive(media, { first: "one", second: "two" });
                const source = { kind: "emsExport" as const, serverName, database: ["/nonexistent"], media: [media] };
                const given = { ...(await spec()), source };
                await writeFile(join(media, `${serverName}__first.txt`), "six");
                await expectError("SM-E0962", () => handMedia.act(given, run));
                expect(await query("SELECT to_regclass('media') AS made")).to.deep.equal([{ made: null }]);
                await writeFile(join(media, `${serverName}__first.txt`), "one");
                expect(await handMedia.act(given, run)).to.include({ media: 2, imported: 2, bytes: 6 });
                expect(await readdir(media)).to.have.length(3);
            });
        });

        it("gives a media store with the rows that were loaded", async () => {
            await withPlace(async ({ spec, run, directory }) => {
                const cluster = await testCluster();
                const incoming = await cluster.createDatabase("synapse");
                const store = join(directory, "backup");
                await withClient(cluster.address(incoming), { step: "test" }, (client) =>
                    fill(client, store, someMedia),
                );
                const source = { kind: "backup" as const, serverName, database: ["/nonexistent"], media: [store] };
                const loaded = { database: cluster.target("synapse"), incoming };
                expect(await handMedia.act({ ...(await spec()), source, loaded }, run)).to.include({ media: expected });
            });
        });

        it("may come without media", async () => {
            await withPlace(async ({ spec, run }) => {
                const source = { kind: "backup" as const, serverName, database: ["/nonexistent"] };
                const result = await handMedia.act({ ...(await spec("fail")), source }, run);
                expect(result).to.include({ media: 0, imported: 0, bytes: 0 });
                expect(result.checks.map(({ state }) => state)).to.deep.equal(["passed", "passed"]);
            });
        });
    });

    it("says when it is taken back what stays, and how to remove it", async () => {
        await withPlace(async ({ spec, run, query, directory }) => {
            const given = await spec();
            await handMedia.act(given, run);
            await handMedia.undo?.(given, run);
            const said = run.said.join("\n");
            expect(said).to.contain(`${expected} media that this run added stay in matrix-media-repo`);
            expect(said).to.contain(`POST /_matrix/media/unstable/admin/purge/media/${serverName}/`);
            const calls = await readFile(join(directory, "run", "handed-media-added.txt"), "utf8");
            expect(calls.trim().split("\n")).to.have.length(expected);
            expect(await query("SELECT 1 FROM media")).to.have.length(expected);
        });
    });

    it("has nothing to say of an import that never began, and of media that others put there", async () => {
        await withPlace(async ({ spec, run, repository }) => {
            const given = await spec();
            await handMedia.undo?.(given, run);
            expect(run.said).to.deep.equal([]);
            const cluster = await testCluster();
            expect((await presentMedia(cluster.address(repository), [], { step: "test" })).size).to.equal(0);
        });
    });
});
