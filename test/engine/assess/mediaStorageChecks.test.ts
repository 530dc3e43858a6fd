import { expect } from "chai";
import { createServer, type Server } from "node:net";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AssessmentContext } from "../../../engine/assess/check.ts";
import { mediaStorageChecks, notRead } from "../../../engine/assess/mediaStorageChecks.ts";
import type { Finding, MediaStorageProvider } from "../../../contract/index.ts";
import { freePort } from "../../../engine/machines/freePort.ts";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";
import { startTestS3, type TestS3 } from "../../support/s3Server.ts";

type OwnBucket = Extract<MediaStorageProvider, { kind: "s3" }>;

const module = "s3_storage_provider.S3StorageProviderBackend";

describe("the assessment of media in S3", function () {
    this.timeout(120_000);
    let s3: TestS3;
    let own: OwnBucket;
    let python: string;

    before(async () => {
        s3 = await startTestS3();
        for (const bucket of ["old", "new"]) await s3.bucket(bucket);
        const settings = { kind: "s3", bucket: "new", prefix: "", region: "us-east-1", endpoint: s3.endpoint } as const;
        own = { ...settings, ...s3.credentials };
        python =
            (await ensureToolchain({ synapse: true }, () => undefined)).synapse?.python ?? expect.fail("no Synapse");
    });
    after(() => s3.stop());

    const provider = (config: object = {}) => ({
        module,
        config: {
            ...{ bucket: "old", region_name: "us-east-1", endpoint_url: s3.endpoint },
            ...{ access_key_id: s3.credentials.accessKeyId, secret_access_key: s3.credentials.secretAccessKey },
            ...config,
        },
    });
    const found = async (
        id: string,
        providers: readonly object[],
        spec: Partial<AssessmentContext["spec"]> = {},
    ): Promise<Finding[]> => {
        const check = mediaStorageChecks.find((candidate) => candidate.id === id) ?? expect.fail(`no check ${id}`);
        const config = { sections: { media_storage_providers: providers } };
        const result = await check.run({ config, spec: { quick: false, ...spec } } as unknown as AssessmentContext);
        return result === "not-run" ? expect.fail("it did not run") : result;
    };
    const ids = (findings: readonly Finding[]) => findings.map(({ id }) => id);

    it("says what becomes of the bucket where nothing is said of it, and nothing where there is none", async () => {
        const [warning, ...more] = await found("media-storage", [provider()]);
        expect(more).to.deep.equal([]);
        expect(warning).to.include({ id: "SM-W0990", severity: "warning" });
        expect(warning?.evidence).to.include(`bucket old at ${s3.endpoint}`);
        expect(warning?.fix).to.include("mediaStorageProvider");
        expect(await found("media-storage", [])).to.deep.equal([]);
        expect(await found("media-storage", [provider()], { mediaStorageProvider: { kind: "keep" } })).to.deep.equal(
            [],
        );
        expect(await found("media-storage", [provider()], { mediaStorageProvider: own })).to.deep.equal([]);
    });

    it("refuses to keep what there is not, and a bucket of its own that is the source's", async () => {
        expect(ids(await found("media-storage", [], { mediaStorageProvider: { kind: "keep" } }))).to.deep.equal([
            "SM-E0996",
        ]);
        const same = { ...own, bucket: "old" };
        expect(ids(await found("media-storage", [provider()], { mediaStorageProvider: same }))).to.deep.equal([
            "SM-E0996",
        ]);
        const beside = { ...same, prefix: "beside/" };
        expect(await found("media-storage", [provider()], { mediaStorageProvider: beside })).to.deep.equal([]);
        expect(ids(await found("media-storage", [provider({ bucket: undefined })]))).to.deep.equal(["SM-E0206"]);
    });

    it("says that nobody reads the bucket for a bundle", () => {
        const sections = { media_storage_providers: [provider()] };
        expect(ids(notRead(sections))).to.deep.equal(["SM-W0704"]);
        expect(ids(notRead({ ...sections, enable_local_media_storage: false }))).to.deep.equal(["SM-E0704"]);
        expect(notRead({})).to.deep.equal([]);
    });

    it("asks the buckets of both sides, and says of each what is wrong", async () => {
        expect(await found("media-buckets", [provider()], { mediaStorageProvider: own })).to.deep.equal([]);
        const wrong = [
            ["SM-E0991", { bucket: "gone" }],
            ["SM-E0992", { secret_access_key: "not-the-secret-at-all" }],
            ["SM-E0993", { access_key_id: s3.stranger.accessKeyId, secret_access_key: s3.stranger.secretAccessKey }],
            ["SM-E0990", { endpoint_url: `http://127.0.0.1:${await freePort()}` }],
        ] as const;
        for (const [code, config] of wrong) {
            const findings = await found("media-buckets", [provider(config)], {
                mediaStorageProvider: { ...own, bucket: "gone-too" },
            });
            expect(ids(findings)).to.deep.equal([code, "SM-E0991"]);
            expect(JSON.stringify(findings))
                .not.to.include("not-the-secret")
                .and.not.to.include(s3.stranger.secretAccessKey);
        }
        expect(
            await found("media-buckets", [provider({ bucket: "gone" })], { bundle: { programs: "/" } }),
        ).to.deep.equal([]);
    });

    it("waits in a preview no longer than a preview may", async () => {
        const silent: Server = createServer();
        silent.listen(0, "127.0.0.1");
        await once(silent, "listening");
        const bound = silent.address();
        const endpoint = `http://127.0.0.1:${typeof bound === "object" && bound !== null ? bound.port : 0}`;
        const began = performance.now();
        try {
            const findings = await found("media-buckets", [provider({ endpoint_url: endpoint })], { quick: true });
            expect(ids(findings)).to.deep.equal(["SM-E0990"]);
            expect(performance.now() - began).to.be.below(9000);
        } finally {
            silent.close();
        }
    });

    it("has the target's Python load the module, and refuses one that cannot", async () => {
        const asked = (targetPython: string, mediaStorageProvider?: MediaStorageProvider) =>
            found("media-storage-module", [], {
                targetPython,
                ...(mediaStorageProvider === undefined ? {} : { mediaStorageProvider }),
            });
        expect(await asked(python, own)).to.deep.equal([]);
        expect(await asked("/nonexistent/python")).to.deep.equal([]);
        const directory = await mkdtemp(join(tmpdir(), "synapse-migration-python-"));
        try {
            const without = join(directory, "python");
            // Has nothing of Synapse's environment: no site-packages at all.
            await writeFile(without, `#!/bin/sh\nexec /usr/bin/python3 -I -S "$@"\n`, { mode: 0o755 });
            const [missing] = await asked(without, { kind: "keep" });
            expect(missing).to.include({ id: "SM-E0995", severity: "error" });
            expect(missing?.evidence).to.include("No module named 's3_storage_provider'");
            expect(missing?.fix).to.equal(`${without} -m pip install synapse-s3-storage-provider`);
        } finally {
            await rm(directory, { recursive: true });
        }
    });
});
