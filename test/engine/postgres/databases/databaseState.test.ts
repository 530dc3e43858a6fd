import { expect } from "chai";
import { inspectDatabase } from "../../../../engine/postgres/databases/databaseState.ts";
import { dropIncoming, makeIncoming } from "../../../../engine/postgres/databases/incomingDatabase.ts";
import { testCluster, type TestCluster } from "../../../support/cluster.ts";

const options = { step: "test" };

describe("a database whose drop was interrupted", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let name: string;
    beforeEach(async () => {
        cluster = await testCluster();
        name = await cluster.createDatabase("empty");
        await cluster.query(name, "CREATE TABLE kept (id int)");
        // As PostgreSQL itself marks it before it removes the first file.
        await cluster.query("postgres", `UPDATE pg_database SET datconnlimit = -2 WHERE datname = '${name}'`);
    });
    const maintenance = () => cluster.superuserAddress("postgres");

    it("is told apart from one that is empty, without a connection to it", async () => {
        expect(await inspectDatabase(maintenance(), name, options)).to.include({ state: "empty", isInvalid: true });
    });

    it("is dropped by the next attempt, and by the undo", async () => {
        await makeIncoming(maintenance(), name, "migrator", "r1", options);
        expect(await inspectDatabase(maintenance(), name, options)).to.not.have.property("isInvalid");
        await cluster.query("postgres", `UPDATE pg_database SET datconnlimit = -2 WHERE datname = '${name}'`);
        expect(await dropIncoming(maintenance(), name, "r1", options)).to.equal(`database ${name} was dropped`);
    });
});
