import { expect } from "chai";
import { copyChecks } from "../../../steps/assess/copyChecks.ts";
import type { Finding } from "../../../steps/contract.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { findingsOf } from "./runCheck.ts";

describe("what a direct copy leaves out", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    const found = (name: string, mode: "direct" | "replicate" | "archive"): Promise<Finding[]> =>
        findingsOf(copyChecks, "copied-objects", cluster.address(name), { copy: { mode } });

    before(async () => {
        cluster = await testCluster();
    });

    it("is nothing of a homeserver's database", async () => {
        expect(await found(await cluster.createDatabase("synapse"), "direct")).to.deep.equal([]);
    });

    it("is found before the source is stopped, and is no concern of an archive", async () => {
        const name = await cluster.createDatabase();
        await cluster.query(name, "SELECT lo_create(0); CREATE MATERIALIZED VIEW seen AS SELECT 1", "synapse");
        for (const mode of ["direct", "replicate"] as const) {
            const [blocking, ...more] = await found(name, mode);
            expect(more).to.deep.equal([]);
            expect(blocking).to.include({ id: "SM-E0540", severity: "error" });
            expect(blocking?.evidence).to.contain("1 large objects, materialized view seen");
            expect(blocking?.fix).to.contain("copy: archive");
        }
        expect(await found(name, "archive")).to.deep.equal([]);
    });
});
