import { expect } from "chai";
import { foreignSessions, refuseOpenTransactions } from "../../../engine/fence/writingSessions.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { refuseSessions } from "../../../engine/postgres/server/sessions.ts";
import { startCluster, testCluster, type TestCluster } from "../../support/cluster.ts";
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

describe("open transactions", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await startCluster({ settings: { max_prepared_transactions: "2" } });
    });
    after(() => cluster.stop());

    /** A database of one table, and what a fence says of it. */
    async function withTable() {
        const name = await cluster.createDatabase("empty");
        await cluster.query(name, "CREATE TABLE kept (id int)", "synapse");
        const refusal = () => withClient(cluster.address(name), { step: "fence" }, refuseOpenTransactions);
        return { name, refusal };
    }

    it("that have written are refused by an exclusive lock, and nothing stays locked", async () => {
        const { name, refusal } = await withTable();
        await withClient(cluster.address(name), { step: "writer" }, async (writer) => {
            await writer.query("BEGIN");
            await refusal();
            await writer.query("INSERT INTO public.kept VALUES (1)");
            const error = await expectError("SM-E0702", refusal);
            expect(error.detail.found).to.contain("an exclusive lock was refused");
            await writer.query("COMMIT");
            await writer.query("INSERT INTO public.kept VALUES (2)");
        });
        await refusal();
    });

    it("that are prepared are refused though they have locked nothing and have no session", async () => {
        const { name, refusal } = await withTable();
        await cluster.query(name, "BEGIN; SELECT txid_current(); PREPARE TRANSACTION 'forgotten'");
        try {
            const error = await expectError("SM-E0702", refusal);
            expect(error.detail.found).to.equal("1 prepared transactions wait to be committed");
        } finally {
            await cluster.query(name, "ROLLBACK PREPARED 'forgotten'");
        }
        await refusal();
    });
});
