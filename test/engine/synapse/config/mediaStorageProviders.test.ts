import { expect } from "chai";
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { configure } from "../../../../steps/stage/configure.ts";
import type { MediaStorageProvider } from "../../../../contract/index.ts";
import { secrets } from "../../../../steps/stage/secrets.ts";
import { parseSynapseYaml } from "../../../../engine/synapse/config/pythonYaml.ts";
import {
    makeSource,
    plainConfig,
    readWithSynapse,
    signingKeyLine,
    testRun,
    type SourceFixture,
} from "../sourceFixture.ts";

type Sections = Readonly<Record<string, unknown>>;

const module = "s3_storage_provider.S3StorageProviderBackend";
const sourceSecret = "source-secret-access-key";
const sourceProvider = {
    module,
    store_local: true,
    config: {
        bucket: "old",
        endpoint_url: "https://s3.old.example",
        access_key_id: 4711,
        secret_access_key: sourceSecret,
    },
};
const elsewhere = { module: "file_system.FileStorageProviderBackend", config: { directory: "/srv/backup" } };
const own: MediaStorageProvider = {
    ...{ kind: "s3", bucket: "new", prefix: "of/us/", endpoint: "https://s3.example", region: "here" },
    storageClass: "STANDARD_IA",
};
const keys = { accessKeyId: "target-access-key-id", secretAccessKey: "target-secret-access-key" };

describe("storage providers in the target's configuration", function () {
    this.timeout(60_000);
    let fixture: SourceFixture;
    afterEach(() => fixture.remove());

    const written = async (
        providers: readonly object[],
        mediaStorageProvider?: MediaStorageProvider,
        more = "",
    ): Promise<{ open: Sections; secret: Sections; files: string[]; notCarried: string[]; text: string }> => {
        fixture = await makeSource((directory) =>
            plainConfig(directory, `media_storage_providers: ${JSON.stringify(providers)}\n${more}`),
        );
        await mkdir(join(fixture.directory, "media"));
        await chmod(fixture.directory, 0o755);
        const passwordFile = join(fixture.directory, "owner.password");
        await writeFile(passwordFile, "target-password\n", { mode: 0o600 });
        const { targetDirectory, source } = fixture;
        const spec = {
            ...{ run: { id: "run1", directory: "/nonexistent" }, source, targetDirectory },
            ...(mediaStorageProvider === undefined ? {} : { mediaStorageProvider }),
        };
        const { run, said, evidence } = testRun();
        const { signingKeyFile, secretsFile } = await secrets.act({ ...spec, signingKey: signingKeyLine }, run);
        const result = await configure.act(
            {
                ...spec,
                ...{ signingKeyFile, secretsFile, isolated: false, mediaStore: join(targetDirectory, "media_store") },
                listener: { bindAddress: "127.0.0.1", port: 8448 },
                database: {
                    ...{ host: "127.0.0.1", port: 5499, name: "synapse", owner: "o", ownerPasswordFile: passwordFile },
                    ...{ admin: "postgres", adminPasswordFile: "/nonexistent", clientDirectory: "/usr/bin" },
                },
            },
            run,
        );
        const read = async (file: string): Promise<Sections> =>
            parseSynapseYaml(file, await readFile(file, "utf8"))?.sections ?? {};
        expect((await stat(secretsFile)).mode & 0o777).to.equal(0o600);
        return {
            open: await read(join(targetDirectory, "homeserver.yaml")),
            secret: await read(secretsFile),
            files: result.configFiles,
            notCarried: result.notCarried,
            text: JSON.stringify([said, evidence, result]),
        };
    };

    it("are none where nothing is asked for, but those of other modules", async () => {
        const { open, secret, notCarried, files } = await written([sourceProvider]);
        for (const sections of [open, secret]) expect(sections).not.to.have.property("media_storage_providers");
        expect(notCarried).to.deep.equal([`media_storage_providers: ${module}: the target has media in its own store`]);
        await readWithSynapse(files, fixture.directory);
        await fixture.remove();
        const both = await written([sourceProvider, elsewhere], undefined, "enable_local_media_storage: false\n");
        expect(both.open["media_storage_providers"]).to.deep.equal([elsewhere]);
        expect(both.open).not.to.have.property("enable_local_media_storage");
    });

    it("are the source's where its bucket is kept, with its secret among the secrets", async () => {
        const { open, secret, notCarried, text, files } = await written([sourceProvider], { kind: "keep" });
        expect(secret["media_storage_providers"]).to.deep.equal([sourceProvider]);
        expect(open).not.to.have.property("media_storage_providers");
        expect(notCarried).to.deep.equal([]);
        expect(text).not.to.include(sourceSecret);
        await readWithSynapse(files, fixture.directory);
    });

    it("are a bucket of the target's own where one is given, with its keys among the secrets", async () => {
        const { open, secret, text, files } = await written([sourceProvider, elsewhere], { ...own, ...keys });
        expect(secret["media_storage_providers"]).to.deep.equal([
            elsewhere,
            {
                ...{ module, store_local: true, store_remote: true, store_synchronous: true },
                config: {
                    ...{ bucket: "new", prefix: "of/us/", region_name: "here", endpoint_url: "https://s3.example" },
                    ...{ access_key_id: keys.accessKeyId, secret_access_key: keys.secretAccessKey },
                    storage_class: "STANDARD_IA",
                },
            },
        ]);
        expect(open).not.to.have.property("media_storage_providers");
        expect(text).not.to.include(keys.secretAccessKey).and.not.to.include(sourceSecret);
        expect(await readFile(files[0] ?? "", "utf8")).not.to.include(keys.accessKeyId);
    });

    it("are one for a source that had none, too, and real Synapse takes it", async () => {
        const { open, secret, files } = await written([], { ...own, prefix: "" });
        expect(secret).not.to.have.property("media_storage_providers");
        expect(open["media_storage_providers"]).to.have.deep.nested.property("[0].config.bucket", "new");
        expect(open["media_storage_providers"]).not.to.have.nested.property("[0].config.prefix");
        await readWithSynapse(files, fixture.directory);
    });
});
