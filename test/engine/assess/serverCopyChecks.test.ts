import { expect } from "chai";
import { copyChecks, replicationChecks } from "../../../engine/assess/serverCopyChecks.ts";
import type { Finding } from "../../../contract/index.ts";
import { startCluster, testCluster, type TestCluster } from "../../support/cluster.ts";
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
            expect(blocking?.evidence).to.contain("1 large objects, materialized view public.seen");
            expect(blocking?.fix).to.contain("copy: archive");
        }
        expect(await found(name, "archive")).to.deep.equal([]);
    });
});

describe("what following a source needs", function () {
    this.timeout(180_000);
    let cluster: TestCluster | undefined;
    const found = async (on: TestCluster, mode: "direct" | "replicate"): Promise<Finding[]> => {
        const name = await on.createDatabase("synapse");
        const source = await on.source(name);
        return findingsOf(replicationChecks, "replication-source", on.address(name), { copy: { mode }, source });
    };

    afterEach(() => cluster?.stop());

    it("is found before anything is staged, all at once, and is no concern of another copy", async () => {
        cluster = await startCluster();
        const findings = await found(cluster, "replicate");
        expect(findings.map(({ id, severity }) => `${id} ${severity}`)).to.deep.equal([
            "SM-E1301 error",
            "SM-E1302 error",
            "SM-W1301 warning",
        ]);
        expect(findings[0]?.evidence).to.contain("wal_level = replica");
        expect(findings[1]?.fix).to.contain("REPLICATION");
        expect(await found(cluster, "direct")).to.deep.equal([]);
    });

    it("is asked of the target's server, too, where that is there already", async () => {
        cluster = await startCluster();
        const { port, programs, passwordFile } = cluster;
        const name = await cluster.createDatabase();
        const asked = (admin: string, mode: "direct" | "replicate"): Promise<Finding[]> => {
            const server = {
                kind: "existing" as const,
                host: "127.0.0.1",
                port,
                admin,
                adminPasswordFile: passwordFile,
            };
            const targetServer = { ...server, programs, directory: "/no/such" };
            const address = cluster?.address(name) ?? expect.fail("no cluster");
            return findingsOf(replicationChecks, "replication-target", address, { copy: { mode }, targetServer });
        };
        const [finding, ...more] = await asked("migrator", "replicate");
        expect(more).to.deep.equal([]);
        expect(finding).to.include({ id: "SM-E1302", severity: "error" });
        expect(finding?.evidence).to.contain('role "migrator" may not make subscriptions');
        expect(await asked("postgres", "replicate")).to.deep.equal([]);
        expect(await asked("migrator", "direct")).to.deep.equal([]);
    });

    it("is there on a server that is ready", async () => {
        cluster = await startCluster({ settings: { wal_level: "logical", max_slot_wal_keep_size: "1GB" } });
        await cluster.query("postgres", "ALTER ROLE synapse REPLICATION");
        expect(await found(cluster, "replicate")).to.deep.equal([]);
    });
});
