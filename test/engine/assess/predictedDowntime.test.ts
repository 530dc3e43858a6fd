import { expect } from "chai";
import { availableParallelism } from "node:os";
import type { z } from "zod";
import { measureSpeed } from "../../../engine/assess/calibration.ts";
import { foreseeDowntime } from "../../../engine/assess/predictedDowntime.ts";
import type { assessContract } from "../../../contract/index.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";

type Spec = z.infer<typeof assessContract.spec>;

describe("the foreseen downtime", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    const sizes = { databaseBytes: 50e9, mediaBytes: 2e9 };
    const spec = (changes: Partial<Spec> = {}): Spec =>
        ({ quick: false, source: { kind: "selfHosted" }, ...changes }) as Spec;
    const server = (port = cluster.port): NonNullable<Spec["targetServer"]> => ({
        ...{ kind: "existing", host: "127.0.0.1", port, admin: "migrator", adminPasswordFile: cluster.passwordFile },
        ...{ programs: cluster.programs, directory: cluster.directory },
    });
    const source = { host: "127.0.0.1", port: 1, name: "synapse", user: "synapse" };
    const foreseen = (
        changes: Partial<Spec> = {},
        from: typeof source | undefined = source,
    ): ReturnType<typeof foreseeDowntime> => foreseeDowntime(spec(changes), sizes, from);

    it("says that a model was not calibrated in a preview, and asks no server then", async () => {
        const { finding, seconds } = await foreseen({ quick: true, targetServer: server(1) });
        expect(finding).to.deep.include({ id: "SM-I0310", severity: "info" });
        expect(finding.evidence).to.contain("copy archive").and.contain("not yet measured");
        expect(seconds).to.be.above(60);
    });

    it("is calibrated on a server that is there", async () => {
        const { finding } = await foreseen({ targetServer: server() });
        expect(finding.evidence).to.match(/calibrated on the target: \d+\.\d\d and \d+\.\d\d times/);
    });

    it("is the model's where the server does not answer, or is still to be made", async () => {
        expect((await foreseen({ targetServer: server(1) })).finding.evidence).to.contain("not yet measured");
        expect((await foreseen()).finding.evidence).to.contain("not yet measured");
    });

    it("is that of the declared copy", async () => {
        const jobs = availableParallelism();
        const replicated = await foreseen({ copy: { mode: "replicate", jobs } });
        const direct = await foreseen({ copy: { mode: "direct", jobs } });
        expect(replicated.seconds).to.be.below(direct.seconds);
        expect(replicated.finding.evidence).to.contain("copying before it");
        expect(direct.finding.fix).to.contain("copy: replicate");
    });

    it("takes the cores of other machines for two", async () => {
        const remote = await foreseen({ copy: { mode: "direct", jobs: 64 } }, { ...source, host: "old.example.org" });
        const here = await foreseen({ copy: { mode: "direct", jobs: 64 } });
        expect(here.finding.evidence).to.contain("held up by: processors");
        expect(remote.finding.evidence).to.contain("held up by: target processors");
        expect(remote.seconds).to.be.below(here.seconds);
    });

    it("is that of an import where the source is files, and says when the size is not known", async () => {
        const files = await foreseeDowntime(
            spec({ source: { kind: "backup" } as Spec["source"] }),
            { databaseBytes: 0, mediaBytes: 0 },
            undefined,
        );
        expect(files.finding.evidence).to.contain("copy import").and.contain("size is not known");
    });

    it("leaves nothing behind on the server that it measures", async () => {
        const address = { ...cluster.address("postgres"), user: "migrator" };
        const speed = await measureSpeed(address, "test");
        expect(speed.copyIn).to.be.above(1e6);
        expect(speed.index).to.be.above(1e5);
        const left = await cluster.query("postgres", "SELECT relname FROM pg_class WHERE relname LIKE 'calibration%'");
        expect(left).to.deep.equal([]);
    });
});
