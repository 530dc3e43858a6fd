import { expect } from "chai";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { MatrixClient } from "../../../../rehearsal/source/matrixClient.ts";
import { register } from "../../../../rehearsal/source/population/accounts.ts";
import { download, thumbnail } from "../../../../rehearsal/source/population/mediaFiles.ts";
import { png } from "../../../../rehearsal/source/population/png.ts";
import { Chance } from "../../../../rehearsal/source/population/random.ts";
import type { MediaStorageProvider } from "../../../../contract/index.ts";
import { localFolders } from "../../../../engine/media/layout.ts";
import type { MediaSpec } from "../../../../engine/media/mediaPass.ts";
import { mediaEarly } from "../../../../steps/stage/mediaEarly.ts";
import { mediaFinal } from "../../../../steps/migrate/mediaFinal.ts";
import { mediaStorage } from "../../../../steps/stage/mediaStorage.ts";
import { withTargetProviders } from "../../../../engine/synapse/config/mediaStorageProviders.ts";
import { sourceOf } from "../../../support/migrationSpecs.ts";
import { startTestS3, type TestS3 } from "../../../support/s3Server.ts";
import { testRun } from "../../../support/stepRun.ts";
import { startTestSynapse, type TestSynapse } from "../../../support/synapse.ts";

type OwnBucket = Extract<MediaStorageProvider, { kind: "s3" }>;

describe("a real Synapse with media in S3", function () {
    this.timeout(180_000);
    let s3: TestS3;
    let synapse: TestSynapse;
    let client: MatrixClient;
    let picture: Buffer;
    let mxc: string;

    const store = () => synapse.homeserver.files.mediaStore;
    const size = { width: 32, height: 32, method: "crop" };
    const run = () => testRun("r1", join(synapse.directory, "run"));
    const sections = async () =>
        z.record(z.string(), z.unknown()).parse(parse(await readFile(synapse.homeserver.files.configFile, "utf8")));
    /** Starts it with other storage providers. */
    const restartWith = async (given: Readonly<Record<string, unknown>>): Promise<void> => {
        await synapse.homeserver.stop();
        await writeFile(synapse.homeserver.files.configFile, stringify(given));
        await synapse.homeserver.startAgain();
    };
    const ownBucket = (bucket: string): OwnBucket => ({
        ...{ kind: "s3", bucket, prefix: "media/", region: "us-east-1", endpoint: s3.endpoint },
        ...s3.credentials,
    });
    const emptyStore = async (): Promise<void> => {
        for (const name of await readdir(store())) await rm(join(store(), name), { recursive: true });
    };

    before(async () => {
        [s3, synapse] = await Promise.all([startTestS3(), startTestSynapse()]);
        for (const bucket of ["of-the-source", "of-the-target"]) await s3.bucket(bucket);
        await restartWith(withTargetProviders(await sections(), ownBucket("of-the-source")));
        const { baseUrl, serverName, files } = synapse.homeserver;
        const { registrationSharedSecret } = files;
        client = new MatrixClient(baseUrl);
        await register(
            { client, chance: new Chance("s3"), serverName, registrationSharedSecret },
            "alice",
            "secret-of-alice",
        );
        const login = {
            type: "m.login.password",
            identifier: { type: "m.id.user", user: "alice" },
            password: "secret-of-alice",
        };
        const answer = await client.post("/_matrix/client/v3/login", login, z.object({ access_token: z.string() }));
        client = client.as(answer.access_token);
        await mkdir(join(synapse.directory, "run"));
        picture = png(200, 100, 1);
        mxc = await client.upload(picture, "image/png", "a.png");
        await thumbnail(client, mxc, size);
    });
    after(async () => {
        await synapse.stop();
        await s3.stop();
    });

    it("keeps them under the keys that are read here, and the target has them in its own store", async () => {
        // As `s3_media_upload update`, `check-deleted` and `upload --delete` do in the end.
        for (const folder of localFolders) await rm(join(store(), folder), { recursive: true, force: true });
        const spec: MediaSpec = {
            run: { id: "r1", directory: join(synapse.directory, "run") },
            source: sourceOf(synapse),
            mediaStore: join(synapse.directory, "target"),
            remoteCache: "carry",
            mediaStorageProvider: ownBucket("of-the-target"),
        };
        await mediaStorage.act(spec, run());
        const early = await mediaEarly.act(spec, run());
        expect(early).to.include({ missing: 0, orphans: 0 });
        expect(early.files).to.be.greaterThan(1);
        const final = await mediaFinal.act(spec, run());
        expect(final.checks.filter(({ state }) => state !== "passed")).to.deep.equal([]);
        const [, mediaId = ""] = /^mxc:\/\/[^/]+\/(.*)$/.exec(mxc) ?? [];
        const path = `local_content/${mediaId.slice(0, 2)}/${mediaId.slice(2, 4)}/${mediaId.slice(4)}`;
        expect(await readFile(join(spec.mediaStore, path))).to.deep.equal(picture);
    });

    it("serves as the target what lies only in the bucket that it was given, and puts new media there", async () => {
        await restartWith(withTargetProviders(await sections(), ownBucket("of-the-target")));
        await emptyStore();
        expect(await download(client, mxc)).to.deep.equal(picture);
        expect((await thumbnail(client, mxc, size)).length).to.be.greaterThan(0);
        const later = await client.upload(Buffer.from("later"), "text/plain", "b.txt");
        await emptyStore();
        expect((await download(client, later)).toString()).to.equal("later");
    });

    it("starts without a provider where the target has all media in its own store", async () => {
        const without = withTargetProviders(await sections(), undefined);
        expect(without).not.to.have.property("media_storage_providers");
        await restartWith({ ...without, media_store_path: join(synapse.directory, "target") });
        expect(await download(client, mxc)).to.deep.equal(picture);
    });
});
