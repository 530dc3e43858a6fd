import { expect } from "chai";
import { foreignSessions } from "../../../engine/fence/writingSessions.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { refuseSessions } from "../../../engine/postgres/server/sessions.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";

describe("sessions of others", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    it("count though their role hides from ours what they are", async () => {
        const name = await cluster.createDatabase("empty");
        await withClient(cluster.superuserAddress(name), { step: "test" }, async (other) => {
            await other.query("SET application_name = 'psql'");
            await withClient(cluster.address(name), { step: "test" }, async (client) => {
                const sessions = await foreignSessions(client);
                expect(sessions.map(({ application, role }) => `${application} ${role ?? ""}`)).to.deep.equal([
                    "psql postgres",
                ]);
                await expectError("SM-E0709", () => refuseSessions(client, [name]));
            });
        });
    });
});
