import { expect } from "chai";
import { startCluster, testCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { differences, runCopy, variedSchema } from "./databases.ts";

describe("a direct copy of a database", function () {
    this.timeout(120_000);
    let from: TestCluster;
    let newer: TestCluster;

    before(async () => {
        from = await testCluster();
        newer = await startCluster({ postgres: "newer" });
    });
    after(async () => newer.stop());

    for (const version of ["the same", "a newer"]) {
        const target = (): TestCluster => (version === "a newer" ? newer : from);

        it(`is Synapse's whole database, rows, sequences and definitions, on a server of ${version} version`, async () => {
            const sourceName = await from.createDatabase("synapse");
            const copy = { from, sourceName, to: target(), targetName: await target().createDatabase() };
            const content = await runCopy(copy);
            expect(await differences(copy)).to.deep.equal([]);
            expect(content.tables.length).to.be.greaterThan(150);
            expect(content.seconds.total).to.be.greaterThan(0);
            expect(content.bytes).to.be.greaterThan(0);
        });

        it(`has the same rows and definitions whatever their types and kinds, on a server of ${version} version`, async () => {
            const sourceName = await from.createDatabase();
            await from.query(sourceName, variedSchema, "synapse");
            const copy = { from, sourceName, to: target(), targetName: await target().createDatabase() };
            const content = await runCopy(copy, { jobs: 3 });
            expect(await differences(copy)).to.deep.equal([]);
            expect(content.sequences).to.deep.include({
                ...{ schema: "public", name: "never_called", lastValue: "7", isCalled: false },
                ...{ start: "7", increment: "3", min: "1", max: "9223372036854775807" },
            });
            const [statistics] = await target().query(
                copy.targetName,
                "SELECT count(*)::int AS n FROM pg_stats WHERE tablename = 'kinds'",
            );
            expect(statistics).to.have.property("n").greaterThan(3);
        });
    }

    it("refuses what only an archive carries, before anything is made", async () => {
        const sourceName = await from.createDatabase();
        await from.query(sourceName, "SELECT lo_create(0); CREATE MATERIALIZED VIEW seen AS SELECT 1", "synapse");
        const copy = { from, sourceName, to: from, targetName: await from.createDatabase() };
        const { detail } = await expectError("SM-E0540", () => runCopy(copy));
        expect(detail.found).to.equal("1 large objects\nmaterialized view public.seen");
        expect(
            await from.query(copy.targetName, "SELECT FROM pg_namespace WHERE nspname = 'synapse_migration'"),
        ).to.deep.equal([]);
    });

    it("refuses a target that holds something", async () => {
        const sourceName = await from.createDatabase("synapse");
        const targetName = await from.createDatabase();
        await from.query(targetName, "CREATE TABLE mine (a int)", "synapse");
        await expectError("SM-E0804", () => runCopy({ from, sourceName, to: from, targetName }));
    });
});
