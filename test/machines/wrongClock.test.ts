/** A homeserver's machine whose clock is an hour off: it is said once, and what is done there goes by nobody's clock but our own. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import {
    copyContract,
    fenceContract,
    mediaEarlyContract,
    mediaFinalContract,
    mediaStorageContract,
    type SelfHostedSource,
} from "../../contract/index.ts";
import { sourceClock } from "../../engine/assess/clockChecks.ts";
import { refuseUnlessStillFenced } from "../../engine/fence/stillFenced.ts";
import { closeMachines, openMachine } from "../../engine/machines/openMachine.ts";
import { compareDatabase } from "../../engine/postgres/compare/compareDatabase.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { readManifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { installDebianSynapse, type DebianSynapse } from "../../rehearsal/machines/debianSynapse.ts";
import { describeMachine } from "../../rehearsal/machines/descriptions.ts";
import { bootMachine, type BootedMachine } from "../../rehearsal/machines/machine.ts";
import { setClock } from "../../rehearsal/machines/wrongClock.ts";
import { quickAssessment } from "../../steps/assess/assess.ts";
import { copy } from "../../steps/migrate/directCopy.ts";
import { fence } from "../../steps/migrate/fence.ts";
import { mediaFinal } from "../../steps/migrate/mediaFinal.ts";
import { mediaEarly } from "../../steps/stage/mediaEarly.ts";
import { mediaStorage } from "../../steps/stage/mediaStorage.ts";
import { targetPython as targetPythonOf } from "../support/bundle.ts";
import { testCluster, type TestCluster } from "../support/cluster.ts";
import { done, undone } from "../support/migrationSpecs.ts";
import { smallPopulation } from "../support/synapse.ts";
import { untilTrue } from "../support/waiting.ts";
import { newWorkDirectory } from "../support/workDirectory.ts";

describe("a homeserver on a machine whose clock is wrong", function () {
    this.timeout(600_000);
    let machine: BootedMachine;
    let synapse: DebianSynapse;
    let directory: string;
    let cluster: TestCluster;

    before(async () => {
        directory = await newWorkDirectory();
        cluster = await testCluster();
        machine = await bootMachine({ name: "late" });
        synapse = await installDebianSynapse(machine, { database: "peer", population: smallPopulation });
    });
    afterEach(() => closeMachines());
    after(async () => {
        await machine.end();
        await rm(directory, { recursive: true, force: true });
    });

    const source = (): SelfHostedSource => ({
        kind: "selfHosted",
        serverName: synapse.serverName,
        homeserverConfig: [...synapse.configPaths],
        machine: describeMachine(machine, "sudo"),
        service: { kind: "systemd", units: ["matrix-synapse.service"] },
    });
    const ahead = async (...clock: string[]): Promise<number> => Number(await machine.run(clock)) - Date.now() / 1000;

    for (const [hours, way] of [
        [1, "ahead of"],
        [-1, "behind"],
    ] as const) {
        const seconds = hours * 3600;
        const run = { id: hours > 0 ? "ahead" : "behind", directory: "" };
        const evidence = `is (3599|3600)\\.\\d s ${way} this machine's, to within \\d\\.\\d s$`;

        it(`by an hour ${way} ours is told of once, with its offset (SM-E1204)`, async () => {
            run.directory = join(directory, "runs", run.id);
            await setClock(machine, hours);
            await machine.run(["systemctl", "restart", "postgresql@15-main", "matrix-synapse"]);
            await untilTrue(() => synapse.answers());
            expect(await ahead("date", "+%s")).to.be.closeTo(seconds, 30);
            expect(await ahead("python3", "-c", "import time; print(time.time())")).to.be.closeTo(seconds, 30);
            expect(
                Number(await synapse.query("SELECT extract(epoch FROM clock_timestamp())")) - Date.now() / 1000,
            ).to.be.closeTo(seconds, 30);
            const targetPython = await targetPythonOf();
            const { findings } = await quickAssessment({
                ...{ run, quick: true, enforce: false, targetPython, source: source() },
                targetDirectory: join(directory, "target"),
            });
            const said = findings.filter(({ id }) => id.endsWith("1204"));
            expect(said.map(({ id }) => id)).to.deep.equal(["SM-E1204"]);
            expect(said[0]?.evidence, said[0]?.evidence).to.match(
                new RegExp(
                    `the clock of the source's PostgreSQL server on admin@${machine.address} \\(sudo\\) ${evidence}`,
                ),
            );
            // Nothing else tells of a homeserver without a server for its database, or with one elsewhere that is right.
            const there = openMachine(source().machine);
            const elsewhere = await withClient(
                cluster.superuserAddress("postgres"),
                { step: "test", readOnly: true },
                (client) => sourceClock(there, client),
            );
            for (const alone of [await sourceClock(there), elsewhere]) {
                expect(alone.map(({ id }) => id)).to.deep.equal(["SM-E1204"]);
                expect(alone[0]?.evidence).to.match(
                    new RegExp(`the clock of admin@${machine.address} \\(sudo\\) ${evidence}`),
                );
            }
        });

        it(`by an hour ${way} ours is fenced, copied, and given back: all times are ours, and no file is sent twice`, async () => {
            const spec = { run, source: source() };
            // As its kernel would have dated files that came in just now.
            const dated = `--date=@${Math.round(Date.now() / 1000) + seconds}`;
            const touch = ["env", "--unset=LD_PRELOAD", "touch", dated, "{}", "+"];
            await machine.run(["find", synapse.mediaStore, "-type", "f", "-exec", ...touch]);
            const mediaStore = join(cluster.directory, cluster.newName("media"));
            await done(mediaStorage, { run, mediaStore }, mediaStorageContract.result);
            const media: z.infer<typeof mediaEarlyContract.spec> = { ...spec, mediaStore, remoteCache: "drop" };
            const first = await done(mediaEarly, media, mediaEarlyContract.result);
            expect([first.files > 0, first.copied]).to.deep.equal([true, first.files]);

            const began = Date.now();
            const { token, fencedAt } = await done(fence, spec, fenceContract.result);
            expect(Date.parse(fencedAt)).to.be.within(began, Date.now());
            await refuseUnlessStillFenced(source(), token, run);
            const rest = { ...media, fenceToken: token };
            expect(await done(mediaFinal, rest, mediaFinalContract.result)).to.include({
                files: first.files,
                copied: 0,
            });
            const copying: z.infer<typeof copyContract.spec> = {
                ...spec,
                ...{
                    database: cluster.target(cluster.newName("late")),
                    safeguard: "absent",
                    fenceToken: token,
                    jobs: 1,
                },
            };
            const result = await done(copy, copying, copyContract.result);
            const manifest = await readManifest(result.manifestFile, result.manifestDigest);
            const options = { oneTimeKeys: "kept", owner: "synapse" } as const;
            const { checks } = await compareDatabase(cluster.superuserAddress(result.incoming), manifest, options);
            expect(checks.filter(({ state }) => state !== "passed")).to.deep.equal([]);
            await undone(copy, copying);
            await undone(fence, spec);
            await untilTrue(() => synapse.answers());
        });
    }
});
