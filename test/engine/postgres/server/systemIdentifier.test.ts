import { expect } from "chai";
import { readWatermarks } from "../../../../engine/fence/watermarks.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { readDatabaseFacts } from "../../../../engine/postgres/server/serverFacts.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";

const options = { step: "test" };

describe("the system identifier of a server", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    it("is that of the server for a role that may read it", async () => {
        const name = await cluster.createDatabase();
        const [facts, watermarks] = await withClient(cluster.address(name), options, async (client) => [
            await readDatabaseFacts(client),
            await readWatermarks(client),
        ]);
        expect(facts.systemIdentifier).to.match(/^\d{15,}$/);
        expect(watermarks.database).to.equal(`${facts.systemIdentifier ?? ""}/${facts.oid}`);
    });

    it("is null for a role without the right, to which everything else is told", async () => {
        const name = await cluster.createDatabase();
        await withClient(cluster.superuserAddress(name), options, (client) =>
            client.query("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"),
        );
        const [facts, watermarks] = await withClient(cluster.address(name), options, async (client) => [
            await readDatabaseFacts(client),
            await readWatermarks(client),
        ]);
        expect(facts).to.include({ systemIdentifier: null, name, encoding: "UTF8" });
        expect(watermarks.database).to.equal(`unknown/${facts.oid}`);
    });
});
