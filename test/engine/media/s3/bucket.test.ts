import { expect } from "chai";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { Bucket } from "../../../../engine/media/s3/bucket.ts";
import type { BucketAddress } from "../../../../engine/synapse/config/mediaStorageProviders.ts";
import { freePort } from "../../../../engine/machines/freePort.ts";
import { expectError } from "../../../support/expectError.ts";
import { startTestS3, type TestS3 } from "../../../support/s3Server.ts";

const never = new AbortController().signal;

describe("a bucket", () => {
    let s3: TestS3;
    let address: BucketAddress;
    let server: Server | undefined;

    before(async function () {
        this.timeout(120_000);
        s3 = await startTestS3();
        address = await s3.bucket("media", "of/us/");
        await s3.put("media", "of/us/local_content/ab/cd/ef", "a picture");
        await s3.put("media", "of/us/local_content/ab/cd/empty", "");
        await s3.put("media", "of/us/remote_content/other.example/ab/cd/ef", "cached");
        await s3.put("media", "of/others/local_content/ab/cd/ef", "not ours");
    });
    after(() => s3.stop());
    afterEach(() => {
        server?.closeAllConnections();
        server?.close();
        server = undefined;
    });

    const withBucket = async <T>(
        of: Partial<BucketAddress>,
        work: (bucket: Bucket) => Promise<T>,
        signal = never,
        seconds?: number,
    ): Promise<T> => {
        const bucket = await Bucket.open({ ...address, ...of }, signal, seconds);
        try {
            return await work(bucket);
        } finally {
            bucket.close();
        }
    };
    const listed = (of: Partial<BucketAddress> = {}, beginning = "") =>
        withBucket(of, async (bucket) => {
            const paths: string[] = [];
            for await (const { path } of bucket.list(beginning)) paths.push(path);
            return paths;
        });
    const read = (bucket: Bucket, path: string) => {
        const chunks: Buffer[] = [];
        return bucket
            .read(path, (chunk) => Promise.resolve(void chunks.push(chunk)))
            .then((content) => ({ content, text: Buffer.concat(chunks).toString() }));
    };
    /** Answers in place of the real server. */
    const scripted = async (listener: RequestListener): Promise<string> => {
        server = createServer(listener);
        server.listen(await freePort(), "127.0.0.1");
        await once(server, "listening");
        const bound = server.address();
        return `http://127.0.0.1:${typeof bound === "object" && bound !== null ? bound.port : 0}`;
    };

    it("lists what is below its prefix, by paths of the media store", async () => {
        expect(await listed()).to.have.members([
            "local_content/ab/cd/ef",
            "local_content/ab/cd/empty",
            "remote_content/other.example/ab/cd/ef",
        ]);
        expect(await listed({}, "remote_content/")).to.deep.equal(["remote_content/other.example/ab/cd/ef"]);
    });

    it("lists more than one answer holds", async () => {
        const many = await s3.bucket("many");
        await mkdir(s3.file("many", "local_content/aa/bb"), { recursive: true });
        for (let at = 0; at < 1005; at++) await writeFile(s3.file("many", `local_content/aa/bb/${at}`), "x");
        expect(await listed(many)).to.have.length(1005);
    });

    it("reads an object with its size and SHA-256", async () => {
        await withBucket({}, async (bucket) => {
            const { content, text } = await read(bucket, "local_content/ab/cd/ef");
            expect(text).to.equal("a picture");
            const sha256 = createHash("sha256").update("a picture").digest("hex");
            expect(content).to.include({ size: 9, sha256, run: undefined });
            expect((await read(bucket, "local_content/ab/cd/empty")).content?.size).to.equal(0);
            expect((await read(bucket, "local_content/no/ne/such")).content).to.equal(undefined);
        });
    });

    it("is named in errors, its keys are not", async () => {
        const { credentials, stranger } = s3;
        const closed = `http://127.0.0.1:${await freePort()}`;
        const wrong = { accessKeyId: "who-is-that", secretAccessKey: "Not/a+secret=known12" };
        const cases = [
            ["SM-E0990", { endpoint: closed }, "ECONNREFUSED"],
            ["SM-E0991", { bucket: "no-such-bucket" }, "NoSuchBucket (HTTP 404)"],
            ["SM-E0992", { credentials: wrong }, "InvalidAccessKeyId (HTTP 403)"],
            ["SM-E0992", { credentials: { ...credentials, secretAccessKey: wrong.secretAccessKey } }, "SignatureDoes"],
            ["SM-E0993", { credentials: stranger }, "AccessDenied (HTTP 403)"],
        ] as const;
        for (const [code, of, found] of cases) {
            const error = await expectError(code, () => listed(of));
            expect(error.detail.found).to.include(found);
            expect(error.detail.where).to.include("of/us/");
            const said = `${error.block} ${String(error.stack)} ${String(error.cause)}`;
            for (const { accessKeyId, secretAccessKey } of [credentials, stranger, wrong])
                expect(said).not.to.include(secretAccessKey).and.not.to.include(accessKeyId);
        }
        const secretInUrl = { endpoint: closed.replace("//", "//user:hidden-word@") };
        expect((await expectError("SM-E0990", () => listed(secretInUrl))).block).not.to.include("hidden-word");
    }).timeout(60_000);

    it("is not taken for one where something else answers", async () => {
        const endpoint = await scripted((_, response) => response.end("<html>It works!</html>"));
        const paths = await listed({ endpoint }).catch((error: unknown) => error);
        expect(paths).to.have.property("code", "SM-E0990");
    });

    it("is given up when it says nothing any more, before its answer or in the middle of it", async () => {
        const silent = await scripted(() => undefined);
        const error = await expectError("SM-E0990", () =>
            withBucket({ endpoint: silent }, (bucket) => read(bucket, "x"), never, 0.2),
        );
        expect(error.detail.found).to.equal("nothing came within 0.2 s");
        server?.closeAllConnections();
        server?.close();
        const halting = await scripted((_, response) => {
            response.writeHead(200, { "content-length": "100" });
            response.write("a beginning");
        });
        await expectError("SM-E0990", () =>
            withBucket({ endpoint: halting }, (bucket) => read(bucket, "x"), never, 0.3),
        );
    });

    it("gives no object that was cut short", async () => {
        const cut = await scripted((_, response) => {
            response.writeHead(200, { "content-length": "100" });
            response.write("a beginning", () => response.destroy());
        });
        const failed = await withBucket({ endpoint: cut }, (bucket) => read(bucket, "x")).catch((e: unknown) => e);
        expect(failed)
            .to.have.property("code")
            .that.matches(/^SM-E099[04]$/);
    });

    it("has no part in what becomes of the content", async () => {
        const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
        const reading = withBucket({}, (bucket) => bucket.read("local_content/ab/cd/ef", () => Promise.reject(full)));
        expect(await reading.catch((error: unknown) => error)).to.equal(full);
    });

    it("lets go as soon as the run is stopped", async () => {
        const endpoint = await scripted(() => undefined);
        const stop = new AbortController();
        const reading = withBucket({ endpoint }, (bucket) => read(bucket, "x"), stop.signal);
        stop.abort(new Error("stopped"));
        expect(await reading.catch((error: unknown) => error)).to.have.property("message", "stopped");
    });

    it("says so when it goes away", async () => {
        const gone = await s3.bucket("gone");
        await s3.put("gone", "local_content/ab/cd/ef", "x");
        await rm(s3.file("gone", ""), { recursive: true });
        await expectError("SM-E0991", () => withBucket(gone, (bucket) => read(bucket, "local_content/ab/cd/ef")));
    });
});
