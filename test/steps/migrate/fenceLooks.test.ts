import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import {
    configureContract,
    databaseContract,
    fenceContract,
    mediaStorageContract,
    secretsContract,
} from "../../../contract/index.ts";
import { readFenceHolder } from "../../../engine/fence/fenceHolder.ts";
import { configure } from "../../../steps/stage/configure.ts";
import { database } from "../../../steps/stage/database.ts";
import { fence } from "../../../steps/migrate/fence.ts";
import { mediaStorage } from "../../../steps/stage/mediaStorage.ts";
import { secrets } from "../../../steps/stage/secrets.ts";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";
import { targetPython } from "../../support/bundle.ts";
import { expectError } from "../../support/expectError.ts";
import { done, runOf, secretsOf, sourceOf, undone } from "../../support/migrationSpecs.ts";
import { startTestSynapse, type TestSynapse } from "../../support/synapse.ts";
import { fencedSource, type FencedSource } from "./fencedSource.ts";

describe("the fence looks once more at what the target will be started with", function () {
    this.timeout(300_000);
    let synapse: TestSynapse;
    let source: FencedSource;
    before(async () => {
        synapse = await startTestSynapse();
        source = fencedSource(synapse);
    });
    after(() => synapse.stop());

    it("refuses, while the source serves, what its Synapse does not load any more, and fences when it does", async () => {
        const { postgres } = await ensureToolchain({ postgres: true }, () => undefined);
        const [run, from] = [runOf(synapse, "look"), sourceOf(synapse)];
        const targetDirectory = join(synapse.directory, "target");
        const serverDirectory = join(targetDirectory, "postgres");
        const server = {
            ...{ kind: "managed" as const, directory: serverDirectory, port: 0, programs: postgres?.directory ?? "" },
        };
        const identity = { run, source: from, targetDirectory, ...secretsOf(synapse) };
        const made = { run, source: from, name: "moved", owner: "moved", server };
        const mediaStore = join(targetDirectory, "media_store");
        const { signingKeyFile, secretsFile } = await done(secrets, identity, secretsContract.result);
        const { database: target } = await done(database, made, databaseContract.result);
        await done(mediaStorage, { run, mediaStore }, mediaStorageContract.result);
        const configured = {
            ...{ run, source: from, targetDirectory, database: target, mediaStore, signingKeyFile, secretsFile },
            ...{ listener: { bindAddress: "127.0.0.1", port: 0 }, isolated: false },
        };
        const { configFiles } = await done(configure, configured, configureContract.result);
        const assessed = join(run.directory, "specs", "assess.json");
        await writeFile(assessed, JSON.stringify({ targetPython: await targetPython() }));
        const spec = { ...source.spec("look"), target: { database: target, serverDirectory } };
        const fencing = () => done(fence, spec, fenceContract.result);

        const before = await source.processId();
        const [homeserver = "", , databaseFile = ""] = configFiles;
        const written = await readFile(homeserver, "utf8");
        await appendFile(homeserver, "url_preview_enabled: true\nurl_preview_ip_range_blacklist: [127.0.0.0/8]\n");
        await appendFile(homeserver, "modules: [{module: uninstalled_since.Module}]\nenable_registration: true\n");
        const error = await expectError("SM-E0525", fencing);
        expect(error.detail.found).to.contain("uninstalled_since");
        expect(error.block).to.contain("nothing: the source was not stopped");
        await expectError("SM-E0524", fencing);
        // Whether Synapse loads it or not, it is not what was written.
        const rewritten = await expectError("SM-E0841", fencing);
        expect(rewritten.block).to.contain(homeserver).and.to.contain("nothing: the source was not stopped");
        await writeFile(homeserver, written);

        // Its own driver, with the password that it has.
        const connection = await readFile(databaseFile, "utf8");
        await writeFile(databaseFile, connection.replace(/password: .*/, "password: another-9d1f"));
        const refused = await expectError("SM-E0524", fencing);
        expect(refused.detail.found).to.contain("password authentication failed");
        await writeFile(databaseFile, connection);

        await writeFile(assessed, JSON.stringify({ targetPython: "/no/such/python" }));
        await expectError("SM-E0526", fencing);
        expect(await source.processId(), "it was never stopped").to.equal(before);
        expect(await readFenceHolder(join(synapse.directory, "runs"))).to.equal(undefined);

        await writeFile(assessed, JSON.stringify({ targetPython: await targetPython() }));
        await fencing();
        await undone(fence, spec);
        await rm(assessed);
        await fencing();
        await undone(fence, spec);
        for (const [step, its] of [
            [configure, configured],
            [mediaStorage, { run, mediaStore }],
            [database, made],
            [secrets, identity],
        ] as const)
            await undone(step, its);
    });
});
