import { expect } from "chai";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { changesOf } from "../../bench/downtime/changes.ts";
import { startWriter } from "../../bench/downtime/writer.ts";
import { generate } from "../../bench/data/generate.ts";
import { synapseDump } from "../../rehearsal/source/synapseDump.ts";
import { tableFingerprints, type TableFingerprint } from "../../engine/postgres/compare/fingerprint.ts";
import { sequenceFaults } from "../../engine/postgres/sequences/synapseSequences.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { testCluster, type TestCluster } from "../support/cluster.ts";
import { until } from "../../engine/run/until.ts";

describe("a generated homeserver", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let directory: string;
    let address: DatabaseAddress & { password: string };
    before(async () => {
        cluster = await testCluster();
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-bench-"));
        address = await generated(400);
    });
    after(() => rm(directory, { recursive: true, force: true }));

    async function generated(events: number): Promise<DatabaseAddress & { password: string }> {
        const name = await cluster.createDatabase("empty", cluster.newName("generated"));
        const { password = "", ...rest } = cluster.address(name);
        const made = { ...rest, password };
        await generate({
            address: made,
            programs: cluster.programs,
            schema: await synapseDump("rehearsal.test"),
            directory,
            events,
        });
        return made;
    }
    const contents = async (of: DatabaseAddress): Promise<string[]> =>
        (await tableFingerprints(of, { step: "test", jobs: 1 })).map(
            ({ name, rows, hash }) => `${name} ${rows} ${hash}`,
        );
    const value = async (sql: string): Promise<unknown> =>
        Object.values((await cluster.query(address.name, sql))[0] ?? {})[0];

    it("has the same rows each time", async () => {
        expect(await contents(await generated(400))).to.deep.equal(await contents(address));
    });

    it("has rows in most tables that grow, state the most, and no sequence behind them", async () => {
        const filled = (await tableFingerprints(address, { step: "test", jobs: 1 })).filter(({ rows }) => rows > 0);
        expect(filled.length).to.be.above(80);
        const most = filled.reduce((a: TableFingerprint, b) => (b.rows > a.rows ? b : a));
        expect(most.name).to.equal("state_groups_state");
        expect(most.rows).to.be.at.least(400 * 8);
        expect(await withClient(address, { step: "test" }, sequenceFaults)).to.deep.equal([]);
    });

    it("has an unbroken schema of Synapse's, and text that is not ASCII", async () => {
        expect(await value("SELECT count(*)::int FROM pg_constraint WHERE contype = 'f'")).to.be.above(40);
        expect(await value("SELECT count(*)::int FROM pg_index WHERE NOT indisvalid")).to.equal(0);
        expect(await value("SELECT version FROM schema_version")).to.be.above(80);
        expect(
            await value("SELECT count(*)::int FROM event_json WHERE octet_length(json) <> length(json)"),
        ).to.be.above(10);
        expect(await value("SELECT count(*)::int FROM profiles WHERE fields ? 'm.tz'")).to.be.above(1);
        expect(
            await value("SELECT count(*)::int FROM cache_invalidation_stream_by_instance WHERE cardinality(keys) = 2"),
        ).to.be.above(1);
    });

    it("is written to by the writer without an error, in some twenty rows an event", async () => {
        const rowsBefore = await contents(address);
        const writer = await startWriter(address, 200);
        const written = "SELECT count(*)::int FROM events WHERE event_id LIKE '$written%'";
        await until(async () => Number(await value(written)) >= 30 || undefined, {
            seconds: 30,
            everyMilliseconds: 20,
        });
        const { events, errors } = await writer.stop();
        expect(errors).to.deep.equal([]);
        expect(events).to.be.at.least(30);
        const changed = (await contents(address)).filter((line) => !rowsBefore.includes(line));
        expect(changed.length).to.be.at.least(12);
        expect(
            await value("SELECT count(*)::int FROM event_push_actions WHERE event_id LIKE '$written%'"),
        ).to.be.at.most(42);
    });

    it("cannot be written to where there is nobody", () => {
        expect(() => changesOf(1, { rooms: [], users: ["u"], devices: [], receipts: [] })).to.throw("has none");
    });
});
