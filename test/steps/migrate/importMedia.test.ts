import { createHash } from "node:crypto";
import { cp, mkdir, readFile, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { execFileSync } from "node:child_process";
import { expect } from "chai";
import { importMediaContract, type BundleSource } from "../../../contract/index.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { importMedia } from "../../../steps/migrate/importMedia.ts";
import { acceptanceOf } from "../../../engine/media/missingMedia.ts";
import { localContentPath } from "../../../engine/media/layout.ts";
import { verifyMedia } from "../../../engine/media/verifyMedia.ts";
import { mediaStorage } from "../../../steps/stage/mediaStorage.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { backupOf, bundlePassphrase, encrypted, newDirectory, tarred, zipped } from "../../support/bundle.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { newRun } from "../../support/migrationDump.ts";
import type { TestRun } from "../../support/stepRun.ts";
import { fill, rowOf, writeArchive } from "../../engine/media/mediaRepoArchive/fixtures.ts";

/** Media ids that are one file on a file system that does not tell upper from lower case. */
const media = { abcdefOne: "first", abcdefONE: "second", zzyyxxTwo: "third" } as const;

describe("the step import-media", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let store: string;
    let archive: string;

    before(async () => {
        cluster = await testCluster();
        const files = await newDirectory(cluster);
        store = join(files, "media_store");
        await withClient(cluster.address(await database("all")), { step: "test" }, (client) =>
            fill(client, store, rows()),
        );
        await mkdir(join(store, "remote_content/other.test/aa/bb"), { recursive: true });
        await writeFile(join(store, "remote_content/other.test/aa/bb/cc"), "theirs");
        archive = join(files, "a1b2-live-media");
        await mkdir(archive);
        await writeArchive(archive, media);
    });

    const rows = () => Object.entries(media).map(([id, content]) => ({ row: rowOf(id, content), content }));

    /** A database that knows all of the media, or none. */
    const database = async (known: "all" | "none"): Promise<string> => {
        const name = await cluster.createDatabase("synapse");
        await cluster.query(name, "TRUNCATE local_media_repository, local_media_repository_thumbnails");
        if (known === "all")
            await withClient(cluster.address(name), { step: "test" }, async (client) => {
                await fill(client, join(await newDirectory(cluster), "unused"), rows());
            });
        return name;
    };
    const specOf = async (source: Partial<BundleSource>, known: "all" | "none" = "all") => {
        const run = await newRun(cluster);
        const reference = { id: run.id, directory: run.directory };
        const mediaStore = join(await newDirectory(cluster, "target"), "media_store");
        await mediaStorage.act({ run: reference, mediaStore }, run);
        const incoming = await database(known);
        const spec = {
            run: reference,
            source: backupOf(["/srv/unused"], source),
            ...{ database: cluster.target(incoming), incoming, mediaStore, passphrase: bundlePassphrase },
            remoteCache: "carry" as "carry" | "drop",
        };
        return { run, spec };
    };
    type Spec = Awaited<ReturnType<typeof specOf>>["spec"];

    const act = async (spec: Spec, run: TestRun) => importMediaContract.result.parse(await importMedia.act(spec, run));
    /** The whole of what a target's store must be. */
    const expectAllMedia = async (
        { mediaStore, incoming, remoteCache, run }: Spec,
        treeDigest: string,
    ): Promise<void> => {
        for (const [id, content] of Object.entries(media)) {
            const path = join(mediaStore, localContentPath(id) ?? expect.fail(id));
            expect(await readFile(path, "utf8"), id).to.equal(content);
            expect((await stat(path)).uid).to.equal(serviceUser()?.uid ?? process.getuid?.());
        }
        const address = cluster.superuserAddress(incoming);
        const { checks } = await verifyMedia(mediaStore, treeDigest, address, remoteCache, {
            runDirectory: run.directory,
            user: serviceUser(),
        });
        expect(checks.filter(({ state }) => state !== "passed")).to.deep.equal([]);
    };
    const encryptedTar = async (directory: string, name: string): Promise<string> => {
        const file = join(await newDirectory(cluster), name);
        execFileSync("tar", ["-czf", file, "-C", directory, "."]);
        await writeFile(`${file}.gpg`, encrypted(await readFile(file), cluster.directory));
        await rm(file);
        return `${file}.gpg`;
    };
    /** Each archive entry in a part of its own, with the manifest in the first. */
    const parts = async (): Promise<string[]> => {
        const names = (await readdir(archive)).sort((a) => (a === "manifest.json" ? -1 : 1));
        const files: string[] = [];
        for (const [at, name] of names.entries()) {
            const one = await newDirectory(cluster);
            await cp(join(archive, name), join(one, name));
            files.push(await encryptedTar(one, `export-part-${at + 1}.tgz`));
        }
        const together = await newDirectory(cluster);
        for (const file of files) await cp(file, join(together, basename(file)));
        return files.map((file) => join(together, basename(file)));
    };

    const stores: readonly (readonly [string, () => Promise<string[]>])[] = [
        ["a media store", () => Promise.resolve([store])],
        [
            "a link to a media store",
            async () => {
                const link = join(await newDirectory(cluster), "media");
                await symlink(store, link);
                return [link];
            },
        ],
        [
            "a media store whose folders lie on another disk",
            async () => {
                const links = await newDirectory(cluster);
                for (const folder of await readdir(store)) await symlink(join(store, folder), join(links, folder));
                return [links];
            },
        ],
        ["a tar of a media store", () => Promise.resolve([tarred(store)])],
        ["an encrypted tar of what is in a media store", async () => [await encryptedTar(store, "media.tar.gz")]],
    ];
    for (const [title, make] of stores) {
        it(`takes ${title}, with media whose ids differ only in case, and the copies of other servers' media`, async () => {
            const { run, spec } = await specOf({ media: await make() });
            const result = await act(spec, run);
            expect(result).to.deep.include({ files: 4, copied: 4, missing: 0, rowsAdded: 0 });
            await expectAllMedia(spec, result.treeDigest);
            expect(await readdir(run.directory)).to.deep.equal(["media-index.jsonl", "media-tree.txt"]);
        });
    }

    const archives: readonly (readonly [string, () => Promise<string[]>])[] = [
        ["a directory", () => Promise.resolve([archive])],
        ["encrypted parts", parts],
        ["a zip", async () => [await zipped(join(await newDirectory(cluster), "media.zip"), archive)]],
        [
            "a zip of encrypted parts",
            async () => [await zipped(join(await newDirectory(cluster), "all.zip"), ...(await parts()))],
        ],
    ];
    for (const [title, make] of archives) {
        it(`takes an export of matrix-media-repo as ${title}, and adds the rows that the database has not`, async () => {
            const paths = await make();
            const { run, spec } = await specOf({ media: paths }, "none");
            const result = await act(spec, run);
            expect(result).to.deep.include({ files: 3, copied: 3, missing: 0, rowsAdded: 3 });
            await expectAllMedia(spec, result.treeDigest);
            const [row] = await cluster.query(
                spec.incoming,
                "SELECT media_length::int AS length, user_id FROM local_media_repository WHERE media_id = 'abcdefONE'",
            );
            expect(row).to.deep.equal({ length: media.abcdefONE.length, user_id: "@alice:rehearsal.test" });
            expect(await readdir(run.directory)).to.deep.equal(["media-tree.txt"]);
        });
    }

    it("adds no row that is there already, and tells those that an attempt before has added again", async () => {
        for (const [known, rowsAdded] of [
            ["all", 0],
            ["none", 3],
        ] as const) {
            const { run, spec } = await specOf({ media: [archive] }, known);
            const first = await act(spec, run);
            expect(first).to.deep.include({ rowsAdded, copied: 3 });
            expect(await act(spec, run)).to.deep.equal({ ...first, copied: 0 });
        }
    });

    it("leaves the media of other servers out where they are to be dropped", async () => {
        const { run, spec } = await specOf({ media: [store] });
        const dropping = { ...spec, remoteCache: "drop" as const };
        const result = await act(dropping, run);
        expect(result).to.deep.include({ files: 3, copied: 3 });
        await expectAllMedia(dropping, result.treeDigest);
    });

    it("tells how many media are missing where none came with the bundle", async () => {
        const { run, spec } = await specOf({});
        const result = await act(spec, run);
        expect(result).to.deep.include({ files: 0, copied: 0, missing: 3, rowsAdded: 0 });
        expect(result.checks.find(({ id }) => id === "media.complete")?.state).to.equal("failed");
    });

    it("does not pass a file of the store that is missing or altered", async () => {
        const damaged = join(await newDirectory(cluster), "media_store");
        await cp(store, damaged, { recursive: true });
        await rm(join(damaged, localContentPath("abcdefONE") ?? ""));
        await writeFile(join(damaged, localContentPath("zzyyxxTwo") ?? ""), "thirD");
        const { run, spec } = await specOf({ media: [damaged] });
        const { missing, checks } = await act(spec, run);
        expect(missing).to.equal(2);
        expect(checks.find(({ id }) => id === "media.complete")?.evidence)
            .to.contain("abcdefONE")
            .and.contain("zzyyxxTwo")
            .and.contain(acceptanceOf(["abcdefONE"]));
        const accepted = { ...spec, acceptMissingMedia: acceptanceOf(["abcdefONE"]) };
        const accepting = importMediaContract.result.parse(await importMedia.act(accepted, run));
        expect(accepting.missing).to.equal(1);
    });

    it("refuses an archive with a file that is not what its manifest says", async () => {
        const damaged = join(await newDirectory(cluster), "archive");
        await cp(archive, damaged, { recursive: true });
        const [name = ""] = (await readdir(damaged)).filter((file) => file.includes("Two"));
        await writeFile(join(damaged, name), "thirD");
        const { run, spec } = await specOf({ media: [damaged] }, "none");
        const error = await importMedia.act(spec, run).catch((failure: unknown) => failure);
        expect(error)
            .to.be.an("error")
            .with.property("message")
            .that.matches(/SM-E09\d\d/);
        expect(await cluster.query(spec.incoming, "SELECT 1 FROM local_media_repository")).to.deep.equal([]);
    });

    const refused: readonly (readonly [string, () => Promise<string[]>])[] = [
        ["a directory with neither a store nor an archive in it", async () => [await newDirectory(cluster)]],
        [
            "an archive of something else",
            async () => {
                const other = join(await newDirectory(cluster), "photos");
                await mkdir(other);
                await writeFile(join(other, "cat.jpg"), "cat");
                return [tarred(other)];
            },
        ],
        ["two directories", () => Promise.resolve([store, archive])],
    ];
    for (const [title, make] of refused) {
        it(`refuses ${title}`, async () => {
            const { run, spec } = await specOf({ media: await make() });
            await expectError("SM-E0969", () => importMedia.act(spec, run));
        });
    }

    it("refuses files that are not there, a wrong passphrase, and parts of which one is missing", async () => {
        const absent = await specOf({ media: ["/no/such/media.zip"] });
        await expectError("SM-E0931", () => importMedia.act(absent.spec, absent.run));
        const [first = "", , third = ""] = await parts();
        const gap = await specOf({ media: [first, third] });
        await expectError("SM-E0930", () => importMedia.act(gap.spec, gap.run));
        const wrong = await specOf({ media: [await encryptedTar(store, "media.tar.gz")] });
        await expectError("SM-E0920", () => importMedia.act({ ...wrong.spec, passphrase: "not-this-one" }, wrong.run));
    });

    it("takes nothing from a store that the target lies in, and changes no file of the bundle", async () => {
        const digestOf = (): string =>
            createHash("sha256")
                .update(execFileSync("tar", ["-cf", "-", "--sort=name", "-C", store, "."]))
                .digest("hex");
        const before = digestOf();
        const { run, spec } = await specOf({ media: [store] });
        await act(spec, run);
        expect(digestOf()).to.equal(before);
        const inside = { ...spec, source: { ...spec.source, media: [spec.mediaStore] } };
        await expectError("SM-E0963", () => importMedia.act(inside, run));
    });

    it("removes what it has unpacked when it is undone", async () => {
        const { run, spec } = await specOf({ media: [store] });
        await mkdir(join(run.directory, "unpacked-media/level-0"), { recursive: true });
        await importMedia.undo?.(spec, run);
        expect(await readdir(run.directory)).to.deep.equal([]);
    });
});
