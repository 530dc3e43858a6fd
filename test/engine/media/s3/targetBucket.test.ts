import { expect } from "chai";
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { freePort } from "../../../../engine/machines/freePort.ts";
import type { MediaStorageProvider } from "../../../../contract/index.ts";
import { localContentPath } from "../../../../engine/media/layout.ts";
import type { MediaSpec } from "../../../../engine/media/mediaPass.ts";
import { mediaEarly } from "../../../../steps/stage/mediaEarly.ts";
import { mediaFinal } from "../../../../steps/migrate/mediaFinal.ts";
import { mediaStorage } from "../../../../steps/stage/mediaStorage.ts";
import { doStep, undoStep } from "../../../../engine/run/runStep.ts";
import { undoSteps } from "../../../../engine/run/undoFromJournal.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { startTestS3, type TestS3 } from "../../../support/s3Server.ts";
import { testRun } from "../../../support/stepRun.ts";
import { startTamperingProxy, type TamperingProxy } from "../../../support/tamperingProxy.ts";
import { withWorkDirectory } from "../../../support/workDirectory.ts";

type OwnBucket = Extract<MediaStorageProvider, { kind: "s3" }>;

/** More than goes in one part. */
const huge = Buffer.alloc(17 * 1024 * 1024, 5);
const pathOf = (mediaId: string): string => localContentPath(mediaId) ?? expect.fail(`no path for ${mediaId}`);
const [hugePath, smallPath, emptyPath] = ["HugeMediaFile", "smallMediaFile", "emptyMediaFile"].map(pathOf);
let buckets = 0;

describe("a bucket of the target's own", () => {
    let s3: TestS3;
    let proxy: TamperingProxy;
    let cluster: TestCluster;
    let database: string;
    let directory: string;
    let bucket: string;
    let spec: MediaSpec & { mediaStorageProvider: OwnBucket };

    const upload = async (mediaId: string, content: string | Buffer): Promise<void> => {
        const file = join(directory, "source", pathOf(mediaId));
        await mkdir(dirname(file), { recursive: true });
        await writeFile(file, content);
        const sha256 = createHash("sha256").update(content).digest("hex");
        await cluster.query(
            database,
            `INSERT INTO local_media_repository (media_id, media_type, media_length, created_ts, sha256)
                VALUES ('${mediaId}', 'image/png', ${Buffer.byteLength(content)}, 1, '${sha256}')`,
        );
    };
    const run = (id = "r1", signal?: AbortSignal) => testRun(id, join(directory, id), signal);
    const of = (id: string) => ({ ...spec, run: { id, directory: join(directory, id) } });
    const object = (path = ""): string => s3.file(bucket, `of/us/${path}`);
    const isThere = (path = "") =>
        stat(object(path)).then(
            () => true,
            () => false,
        );
    const puts = (): string[] => proxy.requests.filter((each) => each.startsWith("PUT") && !each.includes(".synapse"));
    const prepared = () => mediaStorage.act(spec, run());

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
        await cluster.query(database, "TRUNCATE local_media_repository, local_media_repository_thumbnails");
        directory = await mkdtemp(join(cluster.directory, "s3-"));
        await chmod(directory, 0o755);
        for (const name of ["source", "r1", "r2"]) await mkdir(join(directory, name));
        bucket = `own-${++buckets}`;
        await s3.bucket(bucket);
        proxy.damage = () => undefined;
        spec = {
            run: { id: "r1", directory: join(directory, "r1") },
            source: { ...(await cluster.source(database)), mediaStore: join(directory, "source") },
            mediaStore: join(directory, "target"),
            remoteCache: "drop",
            mediaStorageProvider: {
                ...{ kind: "s3", bucket, prefix: "of/us/", region: "us-east-1", endpoint: proxy.endpoint },
                ...s3.credentials,
            },
        };
        await upload("smallMediaFile", "a picture");
        await upload("emptyMediaFile", "");
        proxy.requests.length = 0;
    });
    afterEach(() => rm(directory, { recursive: true }));

    it("gets all media, large ones in parts, each read back, and in the end only what is new", async () => {
        await prepared();
        await upload("HugeMediaFile", huge);
        const remote = join(directory, "source/remote_content/other.example/aa/bb/cc");
        await mkdir(dirname(remote), { recursive: true });
        await writeFile(remote, "cached");
        const preview = join(directory, "source/url_cache/2026-11-21/x");
        await mkdir(dirname(preview), { recursive: true });
        await writeFile(preview, "preview");
        const first = await mediaEarly.act({ ...spec, remoteCache: "carry" }, run());
        expect(first.checks.find(({ id }) => id === "media.upload")?.evidence).to.match(
            /^4 objects of bucket own-\d+ at/,
        );
        expect(await readFile(object(hugePath))).to.deep.equal(huge);
        expect(await readFile(object(emptyPath), "utf8")).to.equal("");
        expect(await isThere("url_cache"), "Synapse gives no previews to providers").to.equal(false);
        expect(puts().filter((each) => each.endsWith(hugePath ?? ""))).to.have.length(2);
        proxy.requests.length = 0;

        await upload("laterMediaFile", "uploaded later");
        const kept = run();
        await mediaFinal.act(spec, kept);
        expect(puts()).to.deep.equal([`PUT /${bucket}/of/us/${pathOf("laterMediaFile")}`]);
        expect(await isThere("remote_content/other.example/aa/bb/cc"), "it was not to be carried").to.equal(false);
        const told = JSON.stringify([kept.said, kept.evidences]);
        for (const key of Object.values(s3.credentials)) expect(told).not.to.include(key);
    }).timeout(60_000);

    it("keeps what is there already and is the same, and refuses what is something else", async () => {
        await prepared();
        await s3.put(bucket, `of/us/${smallPath}`, "a picture");
        await mediaEarly.act(spec, run());
        expect(puts()).to.deep.equal([`PUT /${bucket}/of/us/${emptyPath}`]);
        await upload("otherMediaFile", "of this homeserver");
        await s3.put(bucket, `of/us/${pathOf("otherMediaFile")}`, "of another homeserver");
        const { block } = await expectError("SM-E0997", () => mediaEarly.act(spec, run()));
        expect(block).to.include(pathOf("otherMediaFile"));
        expect(await readFile(object(pathOf("otherMediaFile")), "utf8")).to.equal("of another homeserver");
    });

    it("is asked again when it has something else than was uploaded, and not trusted when it has so again", async () => {
        await prepared();
        let times = 0;
        const spoil = (atMost: number) => {
            times = 0;
            proxy.damage = ({ method, path }) => {
                // As a broken disk behind the server would.
                if (method === "PUT" && path.endsWith(smallPath ?? "") && ++times <= atMost)
                    writeFileSync(object(smallPath), "A PICTURE");
                return undefined;
            };
        };
        spoil(2);
        const { detail } = await expectError("SM-E0994", () => mediaEarly.act(spec, run()));
        expect(detail.where).to.include(smallPath);
        expect(times).to.equal(2);
        spoil(1);
        await mediaEarly.act(spec, run());
        expect(await readFile(object(smallPath), "utf8")).to.equal("a picture");
    });

    it("loses what the source has deleted since, and nothing else", async () => {
        await prepared();
        await s3.put(bucket, "of/us/local_content/fo/re/ign", "of somebody");
        await mediaEarly.act(spec, run());
        await rm(join(directory, "source", smallPath ?? ""));
        await cluster.query(database, "DELETE FROM local_media_repository WHERE media_id = 'smallMediaFile'");
        await mediaFinal.act(spec, run());
        expect(await isThere(smallPath)).to.equal(false);
        expect(await isThere("local_content/fo/re/ign")).to.equal(true);
    });

    it("goes on where the run was stopped", async () => {
        await prepared();
        const stop = new AbortController();
        proxy.damage = ({ method, path }) => {
            if (method === "PUT" && path.endsWith(emptyPath ?? "")) stop.abort(new Error("stopped"));
            return undefined;
        };
        const stopped = mediaEarly.act(spec, run("r1", stop.signal));
        expect(await stopped.catch((error: unknown) => error)).to.have.property("message", "stopped");
        proxy.damage = () => undefined;
        const { checks } = await mediaFinal.act(spec, run());
        expect(checks.find(({ id }) => id === "media.upload")?.evidence).to.match(/^2 objects/);
    });

    it("is emptied by the run that filled it, of what nobody else put there", async () => {
        await s3.put(bucket, `of/us/${emptyPath}`, "");
        await prepared();
        await mediaEarly.act(spec, run());
        await mediaStorage.undo?.(spec, run());
        expect(await isThere(smallPath)).to.equal(false);
        expect(await isThere(emptyPath)).to.equal(true);
        expect(await isThere(".synapse-migration.json")).to.equal(false);
        await mediaStorage.undo?.(spec, run());
    });

    it("stays when the run has kept no keys, which says how it goes; the store goes, and the next undo with keys empties it", async () => {
        // The client of the tests adds a field of its own to the credentials that it is given.
        const { accessKeyId, secretAccessKey } = s3.credentials;
        const { kind, prefix, region, endpoint } = spec.mediaStorageProvider;
        const provider = { kind, bucket, prefix, region, endpoint, accessKeyId, secretAccessKey };
        const given = { mediaStore: spec.mediaStore, mediaStorageProvider: provider };
        const said: string[] = [];
        const surroundings = { write: (line: string) => said.push(line), signal: new AbortController().signal };
        // Not below a temporary directory, where a run refuses to keep anything.
        await withWorkDirectory(async (work) => {
            const reference = { id: "r1", directory: work };
            const call = { step: mediaStorage, spec: { ...given, run: reference }, ...surroundings };
            await doStep(call);
            await mediaEarly.act({ ...spec, run: reference }, testRun("r1", work));
            const keptSpec = await readFile(join(work, "specs/media-storage.json"), "utf8");
            for (const key of [accessKeyId, secretAccessKey]) expect(keptSpec).not.to.include(key);

            await undoSteps(["media-storage"], work, () => Promise.resolve(mediaStorage), surroundings);
            const told = said.join("\n");
            expect(told).to.include(`the bucket stays as it is (${bucket}, prefix of/us/)`);
            expect(told).to.include("may be 2 objects of this run and its mark of/us/.synapse-migration.json");
            expect(told).to.include(join(work, "media-bucket.jsonl")).and.to.include("phase `stage`");
            expect(await isThere(smallPath)).to.equal(true);
            expect(await stat(spec.mediaStore).catch(() => "absent")).to.equal("absent");

            // As the message says: staged once more and taken back, this time by Pulumi, which has the keys.
            await doStep(call);
            await undoStep(call);
            expect(await isThere(smallPath)).to.equal(false);
            expect(await isThere(".synapse-migration.json")).to.equal(false);
            expect(said.join("\n")).to.include(`2 objects of this run were removed from the bucket ${bucket}`);
        });
    });

    it("passes from one run to the next: the older one then takes nothing back", async () => {
        await prepared();
        await mediaEarly.act(spec, run());
        await mediaStorage.act(of("r2"), run("r2"));
        await expectError("SM-E0963", () => mediaFinal.act(spec, run()));
        proxy.requests.length = 0;
        await mediaEarly.act(of("r2"), run("r2"));
        expect(puts()).to.deep.equal([]);
        await mediaStorage.undo?.(spec, run());
        expect(await isThere(smallPath)).to.equal(true);
        await mediaStorage.undo?.(of("r2"), run("r2"));
        expect(await isThere(smallPath)).to.equal(false);
    });

    it("is refused where another run has taken it with another store", async () => {
        await prepared();
        await mediaStorage.act({ ...of("r2"), mediaStore: join(directory, "other") }, run("r2"));
        const { detail } = await expectError("SM-E0997", () => mediaEarly.act(spec, run()));
        expect(detail.found).to.equal("it belongs to run r2");
    });

    it("is refused before anything is made, where it cannot be used as it must be", async () => {
        const provider = spec.mediaStorageProvider;
        const cases = [
            ["SM-E0990", { endpoint: `http://127.0.0.1:${await freePort()}` }],
            ["SM-E0991", { bucket: "no-such-bucket" }],
            ["SM-E0992", { accessKeyId: "who-is-that" }],
            ["SM-E0993", s3.stranger],
        ] as const;
        for (const [code, different] of cases) {
            const mediaStorageProvider = { ...provider, ...different };
            const { block } = await expectError(code, () => mediaStorage.act({ ...spec, mediaStorageProvider }, run()));
            for (const key of [...Object.values(s3.credentials), ...Object.values(s3.stranger)])
                expect(block).not.to.include(key);
        }
        expect(await stat(spec.mediaStore).catch(() => "absent")).to.equal("absent");
        await rm(s3.file(bucket, ""), { recursive: true });
        await mediaStorage.undo?.(spec, run());
    }).timeout(30_000);
});
