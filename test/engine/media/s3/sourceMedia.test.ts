import { expect } from "chai";
import { createHash } from "node:crypto";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { SelfHostedSource } from "../../../../contract/index.ts";
import { tokenDigest, writeToken } from "../../../../engine/fence/fenceToken.ts";
import { localContentPath } from "../../../../engine/media/layout.ts";
import type { MediaResult, MediaSpec } from "../../../../engine/media/mediaPass.ts";
import { sourceMedia } from "../../../../engine/media/s3/bucketMedia.ts";
import { verifyMedia } from "../../../../engine/media/verifyMedia.ts";
import { mediaEarly } from "../../../../steps/stage/mediaEarly.ts";
import { mediaFinal } from "../../../../steps/migrate/mediaFinal.ts";
import { mediaStorage } from "../../../../steps/stage/mediaStorage.ts";
import { readSourceConfig } from "../../../../engine/synapse/config/sourceConfig.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { startTestS3, type TestS3 } from "../../../support/s3Server.ts";
import { testRun } from "../../../support/stepRun.ts";
import { startTamperingProxy, type TamperingProxy } from "../../../support/tamperingProxy.ts";

const big = Buffer.alloc(700_000, 7);
const digestOf = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex");
let buckets = 0;

describe("media of a source with an S3 storage provider", () => {
    let s3: TestS3;
    let proxy: TamperingProxy;
    let cluster: TestCluster;
    let database: string;
    let directory: string;
    let bucket: string;
    let early: MediaSpec;
    let final: MediaSpec;

    const inSource = (path: string) => join(directory, "source", path);
    const inTarget = (path: string) => join(directory, "target", path);
    const pathOf = (mediaId: string): string => localContentPath(mediaId) ?? expect.fail(`no path for ${mediaId}`);
    const inStore = async (path: string, content: string | Buffer): Promise<void> => {
        await mkdir(dirname(inSource(path)), { recursive: true });
        await writeFile(inSource(path), content);
    };
    const inBucket = (path: string, content: string | Buffer) => s3.put(bucket, `media/${path}`, content);
    const row = (mediaId: string, content: string | Buffer, sha256: string | null = digestOf(content)) =>
        cluster.query(
            database,
            `INSERT INTO local_media_repository (media_id, media_type, media_length, created_ts, sha256)
                VALUES ('${mediaId}', 'image/png', ${Buffer.byteLength(content)}, 1, ${sha256 === null ? "NULL" : `'${sha256}'`})`,
        );
    const run = () => testRun("r1", join(directory, "run"));
    const checkOf = ({ checks }: MediaResult, id: string) => checks.find((check) => check.id === id);
    const exists = (path: string) =>
        stat(inTarget(path)).then(
            () => true,
            () => false,
        );
    /** What s3_media_upload does with --delete. */
    const onlyInBucket = async (mediaId: string, content: string | Buffer, sha256?: null): Promise<void> => {
        await inBucket(pathOf(mediaId), content);
        await row(mediaId, content, sha256);
    };
    const configure = async (config: object): Promise<void> => {
        const file = early.source.homeserverConfig[0] ?? "";
        const sections = JSON.parse(await readFile(file, "utf8")) as object;
        const provider = { module: "s3_storage_provider.S3StorageProviderBackend", store_local: true, config };
        await writeFile(file, JSON.stringify({ ...sections, media_storage_providers: [provider] }));
    };

    before(async function () {
        this.timeout(120_000);
        [s3, cluster] = await Promise.all([startTestS3(), testCluster()]);
        proxy = await startTamperingProxy(s3.endpoint);
    });
    after(async () => {
        await proxy.stop();
        await s3.stop();
    });
    beforeEach(async function () {
        this.timeout(120_000);
        database = await cluster.createDatabase("synapse");
        directory = await mkdtemp(join(cluster.directory, "s3-"));
        await chmod(directory, 0o755);
        for (const name of ["source", "run"]) await mkdir(join(directory, name));
        const source: SelfHostedSource = {
            ...(await cluster.source(database)),
            mediaStore: join(directory, "source"),
        };
        early = {
            run: { id: "r1", directory: join(directory, "run") },
            source,
            mediaStore: join(directory, "target"),
            remoteCache: "drop",
        };
        const watermarks = { database: "1/1", sequences: {}, rowChanges: "0" };
        const token = { run: "r1", serverName: source.serverName, fencedAt: new Date().toISOString(), watermarks };
        await writeToken(join(directory, "run"), token);
        final = { ...early, fenceToken: tokenDigest(token) };
        bucket = `media-${++buckets}`;
        const { credentials } = await s3.bucket(bucket);
        proxy.damage = () => undefined;
        proxy.requests.length = 0;
        await configure({
            bucket,
            prefix: "media/",
            endpoint_url: proxy.endpoint,
            region_name: "us-east-1",
            access_key_id: credentials?.accessKeyId,
            secret_access_key: credentials?.secretAccessKey,
        });
        // Removes all that a real Synapse has left there: this test is about its own.
        await cluster.query(
            database,
            "TRUNCATE local_media_repository, local_media_repository_thumbnails, remote_media_cache, remote_media_cache_thumbnails",
        );
        await inStore(pathOf("StoreAndBucket"), "in both");
        await inBucket(pathOf("StoreAndBucket"), "in both");
        await row("StoreAndBucket", "in both");
        await onlyInBucket("BucketOnlyBig", big);
        await onlyInBucket("bucketonlySmall", "a picture");
        await mediaStorage.act({ run: early.run, mediaStore: early.mediaStore }, run());
    });
    afterEach(() => rm(directory, { recursive: true }));

    it("come from the bucket where the store has them no more, proven like files", async () => {
        const first = await mediaEarly.act(early, run());
        expect(first).to.include({ files: 3, copied: 3, missing: 0, bytes: 7 + big.length + 9 });
        expect(proxy.requests).not.to.include(`GET /${bucket}/media/${pathOf("StoreAndBucket")}`);
        await onlyInBucket("upLoadedLater", "after the early pass");
        proxy.requests.length = 0;

        const second = await mediaFinal.act(final, run());
        expect(second).to.include({ files: 4, copied: 1, missing: 0, orphans: 0 });
        expect(second.checks.map(({ state }) => state)).to.deep.equal(Array(second.checks.length).fill("passed"));
        expect(checkOf(second, "media.bucket")?.evidence).to.match(/^3 files were only in bucket media-\d+ at http/);
        expect(proxy.requests.filter((each) => each.includes("/media/"))).to.deep.equal([
            `GET /${bucket}/media/${pathOf("upLoadedLater")}`,
        ]);
        expect(await readFile(inTarget(pathOf("BucketOnlyBig")))).to.deep.equal(big);
        const copied = await stat(inTarget(pathOf("bucketonlySmall")));
        expect(copied.mode & 0o777).to.equal(0o640);

        const verified = await verifyMedia(early.mediaStore, second.treeDigest, cluster.address(database), "drop");
        expect(verified.map(({ state }) => state)).to.deep.equal(Array(verified.length).fill("passed"));
        expect(await mediaFinal.act(final, run())).to.include({ copied: 0, treeDigest: second.treeDigest });
    });

    it("do not come back when users have deleted them: the module leaves them in the bucket", async () => {
        await inBucket(pathOf("deletedLongAgo"), "a secret of somebody");
        await inBucket("url_cache/2026-11-21/x", "never goes there");
        expect(await mediaFinal.act(final, run())).to.include({ files: 3, orphans: 0 });
        expect(await exists(pathOf("deletedLongAgo"))).to.equal(false);
    });

    it("come with their thumbnails, and with other servers' media where those are carried", async () => {
        const thumbnail = "64-48-image-png-crop";
        await cluster.query(
            database,
            `INSERT INTO local_media_repository_thumbnails (media_id, thumbnail_width, thumbnail_height, thumbnail_type,
                thumbnail_method, thumbnail_length) VALUES ('BucketOnlyBig', 64, 48, 'image/png', 'crop', 5);
             INSERT INTO remote_media_cache (media_origin, media_id, media_type, created_ts, media_length, filesystem_id)
                VALUES ('other.example:8448', 'theirs', 'image/png', 1, 6, 'AAbbCC');
             INSERT INTO remote_media_cache_thumbnails (media_origin, media_id, thumbnail_width, thumbnail_height,
                thumbnail_method, thumbnail_type, thumbnail_length, filesystem_id)
                VALUES ('other.example:8448', 'theirs', 64, 48, 'crop', 'image/png', 5, 'AAbbCC')`,
        );
        const remote = ["remote_content/other.example:8448/AA/bb/CC", `remote_thumbnail/other.example:8448/AA/bb/CC`];
        await inBucket(`local_thumbnails/Bu/ck/etOnlyBig/${thumbnail}`, "thumb");
        await inBucket(remote[0] ?? "", "cached");
        await inBucket(`${remote[1] ?? ""}/${thumbnail}`, "small");
        expect(await mediaEarly.act(early, run())).to.include({ files: 4 });
        expect(await mediaFinal.act({ ...final, remoteCache: "carry" }, run())).to.include({ files: 6, copied: 2 });
        expect(await readFile(inTarget(remote[0] ?? ""), "utf8")).to.equal("cached");
        expect(await mediaFinal.act(final, run())).to.include({ files: 4, copied: 0 });
        expect(await exists(remote[0] ?? "")).to.equal(false);
    });

    it("stay as they were copied when the store gives them to the bucket between the passes", async () => {
        await mediaEarly.act(early, run());
        await rm(inSource(pathOf("StoreAndBucket")));
        expect(await mediaFinal.act(final, run())).to.include({ files: 3, copied: 0, missing: 0 });
        expect(await readFile(inTarget(pathOf("StoreAndBucket")), "utf8")).to.equal("in both");
    });

    it("are read from the bucket again where a copy of them has changed", async () => {
        await mediaEarly.act(early, run());
        await writeFile(inTarget(pathOf("bucketonlySmall")), "A PICTURE");
        expect(await mediaFinal.act(final, run())).to.include({ files: 3, missing: 0 });
        expect(await readFile(inTarget(pathOf("bucketonlySmall")), "utf8")).to.equal("a picture");
    });

    it("are missed when they are neither in the store nor in the bucket, or are others there", async () => {
        await row("nowhereAtAll", "gone");
        await onlyInBucket("AlteredInBucket", "what it was");
        await inBucket(pathOf("AlteredInBucket"), "what it is!");
        await onlyInBucket("ShortInBucket", "what it was", null);
        await inBucket(pathOf("ShortInBucket"), "short");
        for (const pass of [() => mediaEarly.act(early, run()), () => mediaFinal.act(final, run())]) {
            const { detail } = await expectError("SM-E0962", pass);
            expect(detail.found).to.include("nowhereAtAll (no file)");
            expect(detail.found).to.include("AlteredInBucket (file with another SHA-256)");
            expect(detail.found).to.include("ShortInBucket (file of another size)");
        }
    });

    it("are asked for again when they did not come whole, and refused when they never do", async () => {
        let times = 0;
        const small = (path: string) => path.endsWith(pathOf("bucketonlySmall"));
        proxy.damage = ({ path }) => (small(path) && ++times <= 1 ? "cut" : undefined);
        expect(await mediaEarly.act(early, run())).to.include({ files: 3 });
        expect(times).to.equal(2);
        await onlyInBucket("neverWhole", "as long as this");
        for (const damage of ["shorten", "cut"] as const) {
            proxy.damage = ({ path }) => (path.endsWith(pathOf("neverWhole")) ? damage : undefined);
            const error = await expectError(damage === "cut" ? "SM-E0990" : "SM-E0994", () =>
                mediaFinal.act(final, run()),
            );
            expect(error.block).to.include(pathOf("neverWhole"));
            expect(await exists(pathOf("neverWhole"))).to.equal(false);
        }
    });

    it("are found altered on their way by what the database knows of their content", async () => {
        proxy.damage = ({ path }) => (path.endsWith(pathOf("bucketonlySmall")) ? "alter" : undefined);
        const { detail } = await expectError("SM-E0962", () => mediaFinal.act(final, run()));
        expect(detail.found).to.include("bucketonlySmall (file with another SHA-256)");
        let times = 0;
        proxy.damage = ({ path }) => (path.endsWith(pathOf("bucketonlySmall")) && ++times === 1 ? "alter" : undefined);
        expect(await mediaFinal.act(final, run())).to.include({ copied: 1, missing: 0 });
        expect(times).to.equal(2);
    });

    it("leave nothing half copied when the run is stopped, and the next pass goes on", async () => {
        const stop = new AbortController();
        proxy.damage = ({ path }) => {
            if (path.endsWith(pathOf("BucketOnlyBig"))) stop.abort(new Error("stopped"));
            return undefined;
        };
        const stopped = mediaEarly.act(early, testRun("r1", join(directory, "run"), stop.signal));
        expect(await stopped.catch((error: unknown) => error)).to.have.property("message", "stopped");
        expect(await exists(pathOf("BucketOnlyBig"))).to.equal(false);
        proxy.damage = () => undefined;
        expect(await mediaFinal.act(final, run())).to.include({ files: 3, missing: 0 });
    });

    it("are not missed in silence when the bucket cannot be asked", async () => {
        await configure({ bucket: "no-such-bucket", endpoint_url: proxy.endpoint, ...keys() });
        await expectError("SM-E0991", () => mediaEarly.act(early, run()));
        await configure({ endpoint_url: proxy.endpoint });
        await expectError("SM-E0206", () => mediaEarly.act(early, run()));
        expect(await exists("local_content")).to.equal(false);
    });

    const keys = () => ({
        access_key_id: s3.credentials.accessKeyId,
        secret_access_key: s3.credentials.secretAccessKey,
    });

    describe("where the target keeps the bucket", () => {
        const kept = { mediaStorageProvider: { kind: "keep" } } as const;

        it("stay there, and count as there", async () => {
            const result = await mediaFinal.act({ ...final, ...kept }, run());
            expect(result).to.include({ files: 1, copied: 1, missing: 0 });
            expect(checkOf(result, "media.complete")?.state).to.equal("passed");
            expect(checkOf(result, "media.bucket")?.evidence).to.include("2 files are only in bucket");
            expect(await exists(pathOf("BucketOnlyBig"))).to.equal(false);

            const { sections } = await readSourceConfig(early.source);
            const verified = async () => {
                const address = cluster.address(database);
                const bucket = await sourceMedia(sections, address, "drop", run());
                try {
                    return await verifyMedia(early.mediaStore, result.treeDigest, address, "drop", { bucket });
                } finally {
                    bucket?.close();
                }
            };
            expect((await verified()).map(({ state }) => state)).to.deep.equal(Array(5).fill("passed"));
            await row("nowhereAtAll", "gone");
            expect((await verified()).find(({ id }) => id === "media.complete")?.evidence).to.include("nowhereAtAll");
        });

        it("are missed when the bucket has them not, or of another size", async () => {
            await row("nowhereAtAll", "gone");
            await onlyInBucket("ShortInBucket", "what it was");
            await inBucket(pathOf("ShortInBucket"), "short");
            for (const step of [mediaEarly, mediaFinal]) {
                const spec = step === mediaEarly ? early : final;
                const { detail } = await expectError("SM-E0962", () => step.act({ ...spec, ...kept }, run()));
                expect(detail.found).to.include("nowhereAtAll (no file)");
                expect(detail.found).to.include("ShortInBucket (file of another size)").and.not.include("BucketOnly");
            }
        });
    });
});
