import { expect } from "chai";
import { startCluster } from "../../../support/cluster.ts";

describe("the newer PostgreSQL of tests", () => {
    it("has a major version of its own and Synapse's database, which the installed client programs restored", async function () {
        this.timeout(120_000);
        const cluster = await startCluster({ postgres: "newer", settings: { wal_level: "logical" } });
        try {
            const name = await cluster.createDatabase("synapse");
            const [row] = await cluster.query(
                name,
                "SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('wal_level') AS wal, (SELECT count(*)::int FROM users) AS users",
            );
            expect(row).to.include({ major: 18, wal: "logical" });
        } finally {
            await cluster.stop();
        }
    });
});
