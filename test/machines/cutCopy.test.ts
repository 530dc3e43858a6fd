/** The connection to the source's machine is lost while rows and media come over it: the machine is named, and what has arrived isn't sent again. */
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import {
    copyContract,
    fenceContract,
    mediaEarlyContract,
    mediaStorageContract,
    type SelfHostedSource,
} from "../../contract/index.ts";
import { closeMachines } from "../../engine/machines/openMachine.ts";
import { runProgram } from "../../engine/machines/program.ts";
import { compareDatabase } from "../../engine/postgres/compare/compareDatabase.ts";
import { readManifest } from "../../engine/postgres/compare/dumpManifest.ts";
import type { AnyStep } from "../../engine/run/openStep.ts";
import type { MigrationError } from "../../engine/run/errors.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { copy } from "../../steps/migrate/directCopy.ts";
import { fence } from "../../steps/migrate/fence.ts";
import { mediaEarly } from "../../steps/stage/mediaEarly.ts";
import { mediaStorage } from "../../steps/stage/mediaStorage.ts";
import { testCluster, type TestCluster } from "../support/cluster.ts";
import { CuttableWay } from "../support/cuttableWay.ts";
import { expectOneOf } from "../support/expectError.ts";
import { done, undone } from "../support/migrationSpecs.ts";
import { newWorkDirectory } from "../support/workDirectory.ts";

const fillers = 6;
/** Of each of the tables, nearly. */
const fillerBytes = 3_000_000;
const files = 200;
const fileBytes = 100_000;
/**
 * Of what comes from the machine. Answers of its helper, the catalogue and Synapse's own rows are much less than a table; of files many are on their
 * way at once.
 */
const cutAfterBytes = 13_000_000;

describe("a connection that is cut while it carries", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: DebianSynapse;
    let way: CuttableWay;
    let directory: string;
    let cluster: TestCluster;

    before(async () => {
        directory = await newWorkDirectory();
        cluster = await testCluster();
        machine = await bootMachine({ name: "carrying" });
        synapse = await installDebianSynapse(machine, { database: "tcp" });
        way = await CuttableWay.to(machine.address, 22);
    });
    afterEach(async () => {
        way.mend();
        await closeMachines();
    });
    after(async () => {
        await way.stop();
        await machine.end();
        await rm(directory, { recursive: true, force: true });
    });

    const source = (): SelfHostedSource => ({
        kind: "selfHosted",
        serverName: synapse.serverName,
        homeserverConfig: [...synapse.configPaths],
        machine: { ...describeMachine(machine, "sudo"), address: `admin@127.0.0.1:${way.port}` },
        service: { kind: "systemd", units: ["matrix-synapse.service"] },
    });
    const run = (id: string): { id: string; directory: string } => ({ id, directory: join(directory, "runs", id) });

    /** Does the step, cut in the middle of what it carries; its error, which came because of that. */
    async function cutIn(step: AnyStep, spec: object): Promise<MigrationError> {
        way.cutAfter(cutAfterBytes);
        const error = await expectOneOf(["SM-E1401", "SM-E1102"], () => done(step, spec, step.contract.result));
        expect(way.wasCut, "it ended before it was cut").to.equal(true);
        expect(error.detail.where).to.contain(`admin@127.0.0.1:${way.port}`);
        way.mend();
        await closeMachines();
        return error;
    }

    it("rows of a fenced source names the machine, and the copy goes on where it was", async () => {
        const owner = synapse.database.user;
        await synapse.query(
            Array.from(
                { length: fillers },
                (
                    _,
                    n,
                ) => `CREATE TABLE filler${n} AS SELECT g AS id, repeat(md5(g::text), 93) AS text FROM generate_series(1, 1000) g;
                    ALTER TABLE filler${n} ADD PRIMARY KEY (id); ALTER TABLE filler${n} OWNER TO ${owner};`,
            ).join("\n"),
        );
        const fencing = { run: run("rows"), source: source() };
        const { token } = await done(fence, fencing, fenceContract.result);
        const spec: z.infer<typeof copyContract.spec> = {
            ...fencing,
            database: cluster.target(cluster.newName("carried")),
            safeguard: "absent",
            fenceToken: token,
            jobs: 1,
        };
        await cutIn(copy, spec);
        expect(await synapse.answers(), "the source serves beside its copy").to.equal(false);
        const result = await done(copy, spec, copyContract.result);
        expect(result.bytes, "sent again").to.be.below((fillers - 2) * fillerBytes);
        expect(result.bytes).to.be.above(fillerBytes);
        const manifest = await readManifest(result.manifestFile, result.manifestDigest);
        const options = { oneTimeKeys: "kept", owner: "synapse" } as const;
        const { checks } = await compareDatabase(cluster.superuserAddress(result.incoming), manifest, options);
        expect(checks.filter(({ state }) => state !== "passed")).to.deep.equal([]);
        await undone(copy, spec);
        await undone(fence, fencing);
        expect(await synapse.answers()).to.equal(true);
    });

    it("media of a source that serves names the machine, and no file that has arrived is sent again", async () => {
        const place = `${synapse.mediaStore}/local_content/aa/bb`;
        await machine.run(["install", "-d", "-o", "matrix-synapse", place]);
        await machine.run([
            "sh",
            "-c",
            `for n in $(seq 1000 ${999 + files}); do head -c ${fileBytes} /dev/urandom > ${place}/carriedFileNum$n; done`,
        ]);
        // Synapse's user goes through it.
        const target = join(cluster.directory, cluster.newName("media"));
        const spec: z.infer<typeof mediaEarlyContract.spec> = {
            run: run("media"),
            source: source(),
            mediaStore: target,
            remoteCache: "drop",
        };
        await done(mediaStorage, { run: spec.run, mediaStore: target }, mediaStorageContract.result);
        await cutIn(mediaEarly, spec);
        expect(await synapse.answers()).to.equal(true);
        const names = await readdir(join(target, "local_content/aa/bb"));
        const arrived = names.filter((name) => /^carriedFileNum\d+$/.test(name)).length;
        expect(arrived).to.be.within(1, files - 1);
        const result = await done(mediaEarly, spec, mediaEarlyContract.result);
        expect(result.files).to.equal(files);
        expect(result.copied, "sent again").to.be.within(1, files - arrived);
        const digest = ["-c", 'cd "$0/local_content/aa/bb" && sha256sum *'];
        const { stdout } = await runProgram("sh", [...digest, target], { timeoutSeconds: 60 });
        expect(stdout).to.equal(await machine.run(["sh", ...digest, synapse.mediaStore]));
    });
});
