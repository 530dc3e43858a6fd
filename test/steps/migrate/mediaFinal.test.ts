import { expect } from "chai";
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
    appendFile,
    chmod,
    chown,
    lstat,
    mkdir,
    mkdtemp,
    readdir,
    readFile,
    rename,
    rm,
    stat,
    symlink,
    utimes,
    writeFile,
} from "node:fs/promises";
import { dirname, join } from "node:path";
import { mediaEarlyContract, mediaFinalContract, type Source } from "../../../contract/index.ts";
import { tokenDigest, writeToken, type FenceToken } from "../../../engine/fence/fenceToken.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { localContentPath, localThumbnailPath } from "../../../engine/media/layout.ts";
import type { MediaSpec } from "../../../engine/media/mediaPass.ts";
import { verifyMedia } from "../../../engine/media/verifyMedia.ts";
import { mediaEarly } from "../../../steps/stage/mediaEarly.ts";
import { mediaFinal } from "../../../steps/migrate/mediaFinal.ts";
import { mediaStorage } from "../../../steps/stage/mediaStorage.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { testRun } from "../../support/stepRun.ts";

describe("moving media", () => {
    let cluster: TestCluster;
    let database: string;
    let directory: string;
    let source: Source;
    let early: MediaSpec;
    let final: MediaSpec;
    let token: FenceToken;

    const inSource = (path: string) => join(directory, "source", path);
    const inTarget = (path: string) => join(directory, "target", path);
    const put = async (path: string, content: string | Buffer): Promise<void> => {
        await mkdir(dirname(inSource(path)), { recursive: true });
        await writeFile(inSource(path), content);
    };
    const pathOf = (mediaId: string): string => localContentPath(mediaId) ?? expect.fail(`no path for ${mediaId}`);
    const literal = (value: string | number | null) => (typeof value === "string" ? `'${value}'` : String(value));
    const row = (mediaId: string, length: number | null, sha256: string | null, urlCache: string | null = null) =>
        cluster.query(
            database,
            `INSERT INTO local_media_repository (media_id, media_length, sha256, url_cache)
                VALUES (${[mediaId, length, sha256, urlCache].map(literal).join(", ")})`,
        );
    /** What an upload leaves behind. */
    const upload = async (mediaId: string, content: string | Buffer, hashed = true): Promise<void> => {
        await put(pathOf(mediaId), content);
        await row(
            mediaId,
            Buffer.byteLength(content),
            hashed ? createHash("sha256").update(content).digest("hex") : null,
        );
    };
    const run = (id = "r1") => testRun(id, join(directory, "run"));
    const stored = () => mediaStorage.act({ run: early.run, mediaStore: early.mediaStore }, run());
    const address = () => cluster.address(database);
    const verified = async (treeDigest: string, runDirectory = run().directory) => {
        const options = { runDirectory, user: serviceUser() };
        return (await verifyMedia(early.mediaStore, treeDigest, address(), "drop", options)).checks;
    };
    const state = (checks: { id: string; state: string }[], id: string) =>
        checks.find((check) => check.id === id)?.state;

    const evidence = (checks: { id: string; evidence: string }[], id: string) =>
        checks.find((check) => check.id === id)?.evidence;

    before(async function () {
        this.timeout(120_000);
        cluster = await testCluster();
    });
    beforeEach(async () => {
        database = await cluster.createDatabase("empty");
        await cluster.query(
            database,
            `CREATE TABLE local_media_repository (media_id text, media_type text, media_length integer, url_cache text, sha256 text);
             CREATE TABLE local_media_repository_thumbnails (media_id text, thumbnail_width integer, thumbnail_height integer,
                thumbnail_type text, thumbnail_method text, thumbnail_length integer)`,
            "synapse",
        );
        directory = await mkdtemp(join(cluster.directory, "media-"));
        // Synapse's user must be able to reach what is copied for it.
        await chmod(directory, 0o755);
        for (const name of ["source", "run"]) await mkdir(join(directory, name));
        source = { ...(await cluster.source(database)), mediaStore: join(directory, "source") };
        early = {
            run: { id: "r1", directory: join(directory, "run") },
            source,
            mediaStore: join(directory, "target"),
            remoteCache: "drop",
        };
        const watermarks = { database: "1/1", sequences: {}, rowChanges: "0" };
        token = { run: "r1", serverName: source.serverName, fencedAt: new Date().toISOString(), watermarks };
        await writeToken(join(directory, "run"), token);
        final = { ...early, fenceToken: tokenDigest(token) };
        await upload("AbCdEfGhIjKlMnOpQrStUvWx", "a picture");
        await upload("abCdZZ", Buffer.alloc(600_000, 3), false);
        await put("local_thumbnails/Ab/Cd/EfGhIjKlMnOpQrStUvWx/32-32-image-png-crop", "thumb");
        await cluster.query(
            database,
            `INSERT INTO local_media_repository_thumbnails VALUES ('AbCdEfGhIjKlMnOpQrStUvWx', 32, 32, 'image/png', 'crop', 5)`,
        );
        await put("remote_content/other.example/ab/cd/ef", "cached");
        await put("url_cache/2026-11-21/x", "preview");
    });
    afterEach(() => rm(directory, { recursive: true }));

    it("copies while the source runs, and in the end only what changed, each file proven", async () => {
        await stored();
        const first = mediaEarlyContract.result.parse(await mediaEarly.act(early, run()));
        expect(first).to.include({ files: 3, copied: 3, missing: 0, orphans: 0, bytes: 9 + 600_000 + 5 });
        expect(state(first.checks, "media.copies")).to.equal("not-run");

        await upload("neuNeuNeu", "uploaded after the early pass");
        const second = mediaFinalContract.result.parse(await mediaFinal.act(final, run()));
        expect(second).to.include({ files: 4, copied: 1, missing: 0 });
        expect(second.checks.map(({ state: seen }) => seen)).not.to.include.members(["failed", "not-run"]);
        expect(await readFile(inTarget(pathOf("abCdZZ")))).to.deep.equal(Buffer.alloc(600_000, 3));

        expect(await mediaFinal.act(final, run())).to.include({ files: 4, copied: 0, treeDigest: second.treeDigest });
        const checks = await verified(second.treeDigest);
        expect(checks.map(({ state: seen }) => seen)).to.deep.equal(Array(checks.length).fill("passed"));
    });

    it("gives the copies to Synapse's user alone, with their time of change", async () => {
        await utimes(inSource(pathOf("abCdZZ")), 1_600_000_000, 1_600_000_000);
        await stored();
        await mediaFinal.act(final, run());
        const found = await stat(inTarget(pathOf("abCdZZ")));
        expect(found.mtimeMs).to.equal(1_600_000_000_000);
        expect(found.mode & 0o777).to.equal(0o640);
        const owner = serviceUser()?.uid ?? process.geteuid?.();
        expect(found.uid).to.equal(owner);
        const folder = await stat(dirname(inTarget(pathOf("abCdZZ"))));
        expect([folder.uid, folder.mode & 0o777]).to.deep.equal([owner, 0o750]);
        expect((await stat(early.mediaStore)).mode & 0o777).to.equal(0o750);
    });

    it("carries other servers' media when asked to, and takes it away again when not", async () => {
        await stored();
        expect(await mediaEarly.act({ ...early, remoteCache: "carry" }, run())).to.include({ files: 5 });
        expect(await readFile(inTarget("remote_content/other.example/ab/cd/ef"), "utf8")).to.equal("cached");
        const { treeDigest } = await mediaFinal.act(final, run());
        await stat(inTarget("remote_content/other.example/ab/cd/ef")).then(
            () => expect.fail("still there"),
            () => undefined,
        );
        const [tree] = await verified(treeDigest);
        expect(tree?.state).to.equal("passed");
    });

    it("removes from the target what the source deleted between the passes", async () => {
        await stored();
        await mediaEarly.act(early, run());
        await rm(inSource(pathOf("abCdZZ")));
        await cluster.query(database, `DELETE FROM local_media_repository WHERE media_id = 'abCdZZ'`);
        expect(await mediaFinal.act(final, run())).to.include({ files: 2, copied: 0 });
        await stat(inTarget(pathOf("abCdZZ"))).then(
            () => expect.fail("still there"),
            () => undefined,
        );
    });

    it("copies a file again that changed without changing its size", async () => {
        await stored();
        await mediaEarly.act(early, run());
        await put("local_thumbnails/Ab/Cd/EfGhIjKlMnOpQrStUvWx/32-32-image-png-crop", "THUMB");
        expect(await mediaFinal.act(final, run())).to.include({ copied: 1 });
        const path = localThumbnailPath({
            mediaId: "AbCdEfGhIjKlMnOpQrStUvWx",
            width: 32,
            height: 32,
            type: "image/png",
            method: "crop",
        });
        expect(await readFile(inTarget(path ?? ""), "utf8")).to.equal("THUMB");
    });

    it("goes on where it was killed, without reading what it knows and without partial files", async () => {
        await stored();
        const stop = new AbortController();
        const stopped = testRun("r1", join(directory, "run"), stop.signal);
        for (let n = 0; n < 40; n++) await upload(`many${n}many`, `content ${n}`);
        const attempt = mediaEarly.act(early, {
            ...stopped,
            progress: {
                ...stopped.progress,
                during: (_title, work) => {
                    setTimeout(() => stop.abort(), 15);
                    return work();
                },
            },
        });
        await attempt.catch(() => undefined);
        await writeFile(`${inTarget(pathOf("abCdZZ"))}.synapse-migration-partial`, "half").catch(() => undefined);
        const result = await mediaFinal.act(final, run());
        expect(result).to.include({ files: 43, missing: 0 });
        const names = await readdir(early.mediaStore, { recursive: true });
        expect(names.filter((name) => name.includes("partial"))).to.deep.equal([]);
    });

    it("takes over the copies of an earlier run by their content", async () => {
        await stored();
        const { treeDigest } = await mediaFinal.act(final, run());
        await mkdir(join(directory, "run2"));
        const second = { ...early, run: { id: "r2", directory: join(directory, "run2") } };
        const newRun = testRun("r2", join(directory, "run2"));
        expect((await expectError("SM-E0963", () => mediaEarly.act(second, newRun))).detail.found).to.contain(
            "belongs to run r1",
        );
        await mediaStorage.act({ run: second.run, mediaStore: second.mediaStore }, newRun);
        await appendFile(inTarget(pathOf("AbCdEfGhIjKlMnOpQrStUvWx")), "tail");
        expect(await mediaFinal.act(second, newRun)).to.include({ copied: 1, treeDigest });
    });

    it("mends a copy that changed since it was made, and puts aside what the source never had", async () => {
        await stored();
        await mediaEarly.act(early, run());
        const copy = inTarget(pathOf("abCdZZ"));
        const { mtime } = await stat(copy);
        const flipped = await readFile(copy);
        flipped[1000] = 4;
        await writeFile(copy, flipped);
        await utimes(copy, mtime, mtime);
        await mkdir(inTarget("local_content/zz/zz"), { recursive: true });
        await writeFile(inTarget("local_content/zz/zz/zz"), "of a target that was rolled back");
        const result = await mediaFinal.act(final, run());
        expect(state(result.checks, "media.copies")).to.equal("warning");
        expect((await readFile(copy))[1000]).to.equal(3);
        expect(await readFile(inTarget(".set-aside-r1/local_content/zz/zz/zz"), "utf8")).to.contain("rolled back");
        expect(state(await verified(result.treeDigest), "media.tree")).to.equal("passed");
    });

    describe("refuses with SM-E0962", () => {
        beforeEach(stored);
        const damages: [string, string, () => Promise<unknown>][] = [
            [
                "a missing file",
                "AbCdEfGhIjKlMnOpQrStUvWx (no file)",
                () => rm(inSource(pathOf("AbCdEfGhIjKlMnOpQrStUvWx"))),
            ],
            ["a file that is too short", "abCdZZ (file of another size)", () => put(pathOf("abCdZZ"), "short")],
            [
                "an altered file of the same size",
                "(file with another SHA-256)",
                () => put(pathOf("AbCdEfGhIjKlMnOpQrStUvWx"), "A PICTURE"),
            ],
            [
                "a media id that leaves the store",
                "../../../../etc/passwd (an id that is no file name)",
                () => row("../../../../etc/passwd", 5, null),
            ],
        ];
        for (const [what, found, damage] of damages) {
            it(`${what}, early and in the end, and changes nothing at the source`, async () => {
                await damage();
                const before = await readdir(join(directory, "source"), { recursive: true });
                for (const attempt of [() => mediaEarly.act(early, run()), () => mediaFinal.act(final, run())]) {
                    const error = await expectError("SM-E0962", attempt);
                    expect(error.detail.found)
                        .to.contain(found)
                        .and.to.match(/^1 media:/);
                }
                expect(await readdir(join(directory, "source"), { recursive: true })).to.deep.equal(before);
            });
        }

        it("many missing files, naming ten of them", async () => {
            for (let n = 0; n < 12; n++) await row(`gone${n}gone`, 1, null);
            const error = await expectError("SM-E0962", () => mediaFinal.act(final, run()));
            expect(error.detail.found).to.match(/^12 media, the first 10 of them:/);
            expect(error.detail.found.split("\n")).to.have.length(11);
        });
    });

    it("copies top-level folders that lie on another disk as plain folders, and says so", async () => {
        const disk = join(directory, "disk");
        await mkdir(disk);
        for (const folder of ["local_content", "remote_content"]) {
            await rename(inSource(folder), join(disk, folder));
            await symlink(join(disk, folder), inSource(folder));
        }
        await stored();
        for (const result of [
            await mediaEarly.act({ ...early, remoteCache: "carry" }, run()),
            await mediaFinal.act({ ...final, remoteCache: "carry" }, run()),
        ]) {
            expect(result).to.include({ files: 5, missing: 0 });
            const links = result.checks.find(({ id }) => id === "media.links");
            expect(links?.evidence).to.contain(`local_content lies in ${join(disk, "local_content")}, remote_content`);
        }
        expect((await lstat(inTarget("local_content"))).isDirectory()).to.equal(true);
        expect(await readFile(inTarget(pathOf("AbCdEfGhIjKlMnOpQrStUvWx")), "utf8")).to.equal("a picture");
    });

    it("refuses a source with a folder that lies in the target's store", async () => {
        await stored();
        await mkdir(inTarget("elsewhere"));
        await rm(inSource("local_thumbnails"), { recursive: true });
        await symlink(inTarget("elsewhere"), inSource("local_thumbnails"));
        await expectError("SM-E0963", () => mediaEarly.act(early, run()));
    });

    describe("with media that the source itself lacks", () => {
        const lacking = async (...mediaIds: string[]): Promise<string> => {
            for (const mediaId of mediaIds) await row(mediaId, 1, null);
            const { detail } = await expectError("SM-E0962", () => mediaEarly.act(early, run()));
            return /acceptMissingMedia (\S+)$/.exec(detail.fix ?? "")?.[1] ?? expect.fail("no value to accept");
        };
        beforeEach(stored);

        it("goes on with exactly those that are accepted, early, in the end and in the verification, and says so", async () => {
            const acceptMissingMedia = await lacking("gone2gone", "gone1gone");
            expect(acceptMissingMedia).to.match(/^2:[0-9a-f]{64}$/);
            const results = [
                await mediaEarly.act({ ...early, acceptMissingMedia }, run()),
                await mediaFinal.act({ ...final, acceptMissingMedia }, run()),
            ];
            for (const { missing, checks } of results) {
                expect(missing).to.equal(0);
                const complete = checks.find(({ id }) => id === "media.complete");
                expect(complete?.state).to.equal("warning");
                expect(complete?.evidence).to.contain("2 have none, which is accepted").and.to.contain("gone1gone");
            }
            const verified = async (acceptMissing?: string) => {
                const options = { runDirectory: run().directory, user: serviceUser(), acceptMissing };
                const digest = results[1]?.treeDigest ?? "";
                return (await verifyMedia(early.mediaStore, digest, address(), "drop", options)).checks;
            };
            expect(state(await verified(acceptMissingMedia), "media.complete")).to.equal("warning");
            const unaccepted = (await verified()).find(({ id }) => id === "media.complete");
            expect(unaccepted?.state).to.equal("failed");
            expect(unaccepted?.evidence).to.contain(acceptMissingMedia);
        });

        it("refuses another list than the one that was accepted with SM-E0967, both counts and the new value", async () => {
            const acceptMissingMedia = await lacking("gone1gone");
            await row("gone2gone", 1, null);
            for (const attempt of [
                () => mediaEarly.act({ ...early, acceptMissingMedia }, run()),
                () => mediaFinal.act({ ...final, acceptMissingMedia }, run()),
            ]) {
                const { detail } = await expectError("SM-E0967", attempt);
                expect(detail.found).to.contain("2 media have no file").and.to.contain("another list, of 1");
                expect(detail.fix).to.match(/acceptMissingMedia 2:[0-9a-f]{64}$/);
            }
        });

        it("accepts nothing but files that are not there", async () => {
            const acceptMissingMedia = await lacking("gone1gone");
            await put(pathOf("abCdZZ"), "short");
            const { detail } = await expectError("SM-E0962", () =>
                mediaFinal.act({ ...final, acceptMissingMedia }, run()),
            );
            expect(detail.found).to.match(/^1 media:\nabCdZZ \(file of another size\)$/);
        });
    });

    it("lets pass what is no loss: uploads that never came, previews, lost thumbnails, files without rows", async () => {
        await stored();
        await row("pending1", null, null);
        await row("2026-11-21-abc", 3, null, "https://example.com/");
        await put("local_content/or/ph/an", "left behind");
        await put("local_content/or/ph/not ours", "left behind");
        await rm(inSource("local_thumbnails"), { recursive: true });
        const result = await mediaFinal.act(final, run());
        expect(result).to.include({ missing: 0, orphans: 1 });
        expect(state(result.checks, "media.thumbnails")).to.equal("warning");
        expect(state(result.checks, "media.names")).to.equal("warning");
        expect(state(result.checks, "media.complete")).to.equal("passed");
    });

    it("looks once more at what was uploaded between the walk and the look into the database", async () => {
        await stored();
        const late = run();
        const original = late.progress.during.bind(late.progress);
        const racing = {
            ...late,
            progress: {
                ...late.progress,
                during: async <T>(title: string, work: () => Promise<T>) => {
                    const result = await original(title, work);
                    await upload("lateLate", "just now");
                    return result;
                },
            },
        };
        expect(await mediaEarly.act(early, racing)).to.include({ files: 3, missing: 0 });
    });

    it("reads databases from before schema version 91, which know no SHA-256", async () => {
        await stored();
        await cluster.query(database, "ALTER TABLE local_media_repository DROP COLUMN sha256");
        await put(pathOf("AbCdEfGhIjKlMnOpQrStUvWx"), "A PICTURE");
        expect(await mediaFinal.act(final, run())).to.include({ missing: 0 });
    });

    describe("refuses with SM-E0963", () => {
        it("a source that changes after the fence, and tolerates it without one", async () => {
            await stored();
            const moving = (id: string) => {
                const made = run(id);
                const original = made.progress.during.bind(made.progress);
                return {
                    ...made,
                    progress: {
                        ...made.progress,
                        during: async <T>(title: string, work: () => Promise<T>) => {
                            const result = await original(title, work);
                            await put("local_thumbnails/ab/cd/new", String(Math.random()));
                            return result;
                        },
                    },
                };
            };
            const error = await expectError("SM-E0963", () => mediaFinal.act(final, moving("r1")));
            expect(error.detail.found).to.contain("changed while it was copied");
            expect(await mediaFinal.act(early, moving("r1"))).to.include({ missing: 0 });
        });

        it("a source that is a file", async () => {
            await stored();
            await rename(join(directory, "source"), join(directory, "moved"));
            await writeFile(join(directory, "source"), "not a directory");
            await expectError("SM-E0963", () => mediaEarly.act(early, run()));
        });

        it("a target that is the source, or lies in it", async () => {
            const inside = { ...early, mediaStore: join(directory, "source", "target") };
            await mediaStorage.act({ run: inside.run, mediaStore: inside.mediaStore }, run());
            await expectError("SM-E0963", () => mediaEarly.act(inside, run()));
            const error = await expectError("SM-E0963", () =>
                mediaEarly.act({ ...early, mediaStore: join(directory, "source") }, run()),
            );
            expect(error.block).to.contain("nothing was changed");
        });

        it("a target with files of somebody else", async () => {
            await mkdir(early.mediaStore);
            await writeFile(inTarget("something"), "");
            const error = await expectError("SM-E0963", stored);
            expect(error.detail.found).to.contain("something");
            expect(await readdir(early.mediaStore)).to.deep.equal(["something"]);
            await rm(early.mediaStore, { recursive: true });
            await writeFile(early.mediaStore, "a file");
            await expectError("SM-E0963", stored);
        });

        it("a target that was not prepared", async () => {
            await mkdir(early.mediaStore);
            const error = await expectError("SM-E0963", () => mediaEarly.act(early, run()));
            expect(error.detail.found).to.contain("not prepared");
        });
    });

    it("refuses a fence token that is not the one of the fence with SM-E0703", async () => {
        await stored();
        await expectError("SM-E0703", () => mediaFinal.act({ ...final, fenceToken: "0".repeat(64) }, run()));
    });

    it("fails the verification when a file is altered, missing, or not known to the restored database", async () => {
        await stored();
        const { treeDigest } = await mediaFinal.act(final, run());
        const copy = inTarget(pathOf("AbCdEfGhIjKlMnOpQrStUvWx"));
        await writeFile(copy, "A PICTURE");
        const altered = await verified(treeDigest);
        expect([state(altered, "media.tree"), state(altered, "media.complete")]).to.deep.equal(["failed", "failed"]);
        expect(evidence(altered, "media.tree")).to.match(/: local_content\/Ab\/Cd\/EfGhIjKlMnOpQrStUvWx is altered$/);
        await rm(copy);
        await mkdir(inTarget("local_content/zz"));
        await writeFile(inTarget("local_content/zz/foreign"), "");
        const missing = await verified(treeDigest);
        expect(evidence(missing, "media.complete")).to.contain("AbCdEfGhIjKlMnOpQrStUvWx (no file)");
        expect(evidence(missing, "media.tree")).to.contain(
            ": local_content/Ab/Cd/EfGhIjKlMnOpQrStUvWx is missing; local_content/zz/foreign is one too many",
        );
        // A run of an earlier version has kept no list, and a list of another pass says nothing.
        expect(evidence(await verified(treeDigest, join(directory, "none")), "media.tree")).to.contain("was not kept");
        await writeFile(join(run().directory, "media-tree.txt"), "");
        expect(evidence(await verified(treeDigest), "media.tree")).to.contain("was not kept");
    });

    describe("refuses with SM-E0840", () => {
        const cases: readonly (readonly [string, (path: string) => Promise<unknown>, RegExp])[] = [
            ["a file that only root may read", (path) => chown(path, 0, 0), /owner root \(0\), group 0, mode 0640/],
            [
                "a file that nobody may write",
                (path) => chmod(path, 0o440),
                /mode 0440: user \d+ cannot read and write it/,
            ],
            [
                "a directory of root's",
                (path) => chown(dirname(path), 0, 0),
                /owner root \(0\), group 0, mode 0750: .* use it/,
            ],
            [
                "a directory without the right to enter",
                (path) => chmod(dirname(path), 0o600),
                /mode 0600: user \d+ cannot use it/,
            ],
            ["the store itself", () => chmod(early.mediaStore, 0o550), /target: owner .* mode 0550/],
            ["a directory above the store", () => chmod(directory, 0o700), /pass through it/],
        ];
        for (const [title, damage, found] of cases) {
            it(`${title}, in the final pass and in the verification, and passes once it is as the error says`, async () => {
                if (process.geteuid?.() !== 0) expect.fail("run this test as root: others cannot make such files");
                await stored();
                const { treeDigest } = await mediaFinal.act(final, run());
                await damage(inTarget(pathOf("abCdZZ")));
                const { detail, block } = await expectError("SM-E0840", () => mediaFinal.act(final, run()));
                expect(detail.found).to.match(found);
                expect(detail.expected).to.contain(String(serviceUser()?.uid));
                expect(block).to.contain("then run the same command again");
                const failed = (await verified(treeDigest)).filter(({ state: seen }) => seen !== "passed");
                expect(failed.map(({ id }) => id)).to.deep.equal(["media.access"]);
                expect(failed[0]?.evidence).to.match(found);

                const commands = /`(.*)`/.exec(detail.fix ?? "")?.[1]?.split(" && ") ?? [];
                for (const command of commands) {
                    const [program = "", ...args] = command.split(" ");
                    execFileSync(program, args);
                }
                await mediaFinal.act(final, run());
                expect(state(await verified(treeDigest), "media.access")).to.equal("passed");
            });
        }

        it("many files, naming ten of them", async () => {
            await stored();
            for (let at = 0; at < 12; at++) await upload(`manyOf${String(at).padStart(3, "0")}`, "many");
            await mediaFinal.act(final, run());
            for (let at = 0; at < 12; at++)
                await chmod(inTarget(pathOf(`manyOf${String(at).padStart(3, "0")}`)), 0o000);
            const { detail } = await expectError("SM-E0840", () => mediaFinal.act(final, run()));
            expect(detail.found.split("\n")).to.have.length(11);
            expect(detail.found).to.contain("manyOf".slice(4)).and.contain("and 2 more");
        });
    });

    it("finishes a directory that a kill has left to root between its making and its change of owner", async () => {
        await stored();
        const path = dirname(inTarget(pathOf("abCdZZ")));
        await mkdir(dirname(dirname(path)), { mode: 0o750 });
        await mediaFinal.act(final, run());
        expect((await stat(dirname(dirname(path)))).uid).to.equal(serviceUser()?.uid ?? process.geteuid?.());
    });

    describe("undone", () => {
        const undo = (id: string) => {
            const undoing = run(id);
            return Promise.resolve(mediaStorage.undo?.({ run: early.run, mediaStore: early.mediaStore }, undoing)).then(
                () => undoing,
            );
        };

        it("leaves nothing of a store that it made, and the directory of one that was there", async () => {
            await stored();
            await mediaEarly.act(early, run());
            await undo("r1");
            await mkdir(early.mediaStore);
            await stored();
            await mediaEarly.act(early, run());
            await undo("r1");
            expect(await readdir(early.mediaStore)).to.deep.equal([]);
        });

        it("leaves the store of a newer run alone", async () => {
            await stored();
            await mediaStorage.act({ run: early.run, mediaStore: early.mediaStore }, run("r2"));
            const older = await undo("r1");
            expect(older.said.join()).to.contain("not this run's");
            expect(await readdir(early.mediaStore)).to.have.length(1);
        });
    });
});
