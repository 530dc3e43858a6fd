import { expect } from "chai";
import { newestEvents } from "../../../engine/assess/identityChecks.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { ensureToolchain } from "../../../toolchain/toolchain.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";

describe("whether the signing key has signed the newest events", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    let targetPython = "";
    let name = "";

    before(async () => {
        const [started, toolchain] = await Promise.all([
            testCluster(),
            ensureToolchain({ synapse: true }, () => undefined),
        ]);
        cluster = started;
        targetPython = toolchain.synapse?.python ?? "";
    });
    beforeEach(async () => {
        name = await cluster.createDatabase("synapse");
    });

    /** With a key that is none of the server's. */
    const found = async (): Promise<string[]> => {
        const verifyKeys = { "ed25519:a_Other": Buffer.alloc(32, 7).toString("base64").replace(/=+$/, "") };
        const args = { serverName: testServerName, targetPython, verifyKeys };
        const findings = await withClient(cluster.address(name), { step: "test" }, (client) =>
            newestEvents(client, args),
        );
        return findings.map(({ id, severity, evidence }) => `${id} ${severity} ${evidence}`);
    };

    it("is refused with SM-E0817 where another key has", async () => {
        const [finding, ...more] = await found();
        expect(more).to.deep.equal([]);
        expect(finding).to.match(/^SM-E0817 error .*: the newest event \S+ is signed with ed25519:\S+, which/);
    });

    it("cannot be told of a server that has not sent one: SM-W0817", async () => {
        await cluster.query(name, "UPDATE events SET sender = '@somebody:other.example'");
        const [finding, ...more] = await found();
        expect(more).to.deep.equal([]);
        expect(finding).to.match(/^SM-W0817 warning .*: the server has not sent an event yet$/);
    });

    it("cannot be told of events in a room of a version that the target's Synapse does not know: SM-W0817", async () => {
        await cluster.query(name, "UPDATE rooms SET room_version = 'org.example.unknown'");
        const [finding, ...more] = await found();
        expect(more).to.deep.equal([]);
        expect(finding).to.match(/^SM-W0817 warning .*: \S+: ValueError: unknown room version org.example.unknown$/);
    });
});
