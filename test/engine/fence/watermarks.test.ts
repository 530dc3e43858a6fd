import { createHash } from "node:crypto";
import { expect } from "chai";
import { tokenDigest } from "../../../engine/fence/fenceToken.ts";
import { judgeMovements, movements, readWatermarks, type Watermarks } from "../../../engine/fence/watermarks.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";

const still: Watermarks = {
    database: "7/16384",
    sequences: { "public.events_stream_seq": "10", "public.unused": "unused" },
    rowChanges: "500",
};

describe("watermarks", () => {
    it("are at rest when nothing moved", () => expect(movements(still, { ...still })).to.deep.equal([]));

    it("name every sequence that moved, appeared or vanished", () => {
        const moved = { ...still, sequences: { "public.events_stream_seq": "11", "public.new": "1" } };
        expect(movements(still, moved)).to.deep.equal([
            "sequence public.events_stream_seq: 10, then 11",
            "sequence public.unused: unused, then absent",
            "sequence public.new: absent, then 1",
        ]);
    });

    it("see a row that was changed without any sequence", () => {
        expect(movements(still, { ...still, rowChanges: "501" })).to.deep.equal(["row changes: 500, then 501"]);
    });

    it("prove stillness by the transaction number though a crash has reset the counters", () => {
        const fenced = { ...still, countersSince: "2026-01-01", position: { transaction: "900", log: "5000" } };
        const later = {
            ...fenced,
            rowChanges: "0",
            countersSince: null,
            position: { transaction: "900", log: "5400" },
        };
        expect(movements(fenced, later)).to.deep.equal([]);
    });

    it("take a sequence that has moved without a transaction for moved, unless a crash of the server has moved it", () => {
        const fenced = { ...still, position: { transaction: "900", log: "5000" }, serverStarted: "09:00" };
        const later = { ...fenced, sequences: { ...still.sequences, "public.events_stream_seq": "42" } };
        expect(movements(fenced, later)).to.have.length(1);
        expect(movements(fenced, { ...later, serverStarted: "10:00" })).to.deep.equal([]);
        const ofEarlierVersion = { ...fenced, serverStarted: undefined };
        expect(movements(ofEarlierVersion, { ...later, serverStarted: "10:00" })).to.have.length(1);
        const moved = { ...later, serverStarted: "10:00", position: { transaction: "901", log: "5000" } };
        expect(movements(fenced, moved)).to.deep.equal(["sequence public.events_stream_seq: 10, then 42"]);
    });

    it("leave to the rows what a crash and a transaction of autovacuum's may have moved, and nothing else", () => {
        const fenced = {
            ...{ ...still, countersSince: null, serverStarted: "09:00" },
            position: { transaction: "900", log: "5000" },
        };
        const crashed = {
            ...{ ...fenced, rowChanges: "0", countersSince: "2026-01-02", serverStarted: "10:00" },
            position: { transaction: "901", log: "5400" },
        };
        const ahead = (by: string) => ({
            ...crashed,
            sequences: { ...still.sequences, "public.events_stream_seq": by },
        });
        expect(judgeMovements(fenced, ahead("42"))).to.have.nested.property("unproven.length", 2);
        expect(judgeMovements(fenced, ahead("42")).moved).to.deep.equal([]);
        expect(judgeMovements(fenced, ahead("43")).moved).to.deep.equal([
            "sequence public.events_stream_seq: 10, then 43",
        ]);
        expect(judgeMovements(fenced, { ...ahead("42"), serverStarted: "09:00" }).moved).to.have.length(1);
    });

    it("do not take counters that were reset for stillness once any transaction has ended", () => {
        const fenced = { ...still, countersSince: "2026-01-01", position: { transaction: "900", log: "5000" } };
        const moved = { transaction: "902", log: "5400" };
        for (const [rowChanges, countersSince] of [
            ["3", "2026-01-01"],
            ["500", "2026-01-02"],
        ] as const)
            expect(movements(fenced, { ...fenced, rowChanges, countersSince, position: moved }).join()).to.contain(
                "2 transactions of this server have ended",
            );
        expect(movements(fenced, { ...fenced, position: moved })).to.deep.equal([]);
    });

    it("see a server that has gone back, and a table that has another file", () => {
        const fenced = { ...still, position: { transaction: "900", log: "5000" }, tables: { "public.users": "1/1" } };
        for (const position of [
            { transaction: "899", log: "5000" },
            { transaction: "900", log: "4999" },
        ])
            expect(movements(fenced, { ...fenced, position }).join()).to.contain("gone back");
        expect(movements(fenced, { ...fenced, tables: { "public.users": "1/2" } })).to.deep.equal([
            "file of table public.users: 1/1, then 1/2",
        ]);
    });

    it("of a token of version 0.1.0 are read, and their digest stays the same", () => {
        const token = { run: "r1", serverName: "example.org", fencedAt: "2026-11-30T09:00:00.000Z", watermarks: still };
        expect(tokenDigest(token)).to.equal(createHash("sha256").update(JSON.stringify(token)).digest("hex"));
        const now = {
            ...still,
            countersSince: "2026-01-01",
            position: { transaction: "900", log: "5000" },
            tables: {},
        };
        expect(movements(still, now)).to.deep.equal([]);
        // It says nothing of transactions: counters that have gone down prove nothing.
        expect(movements(still, { ...now, rowChanges: "0" })).to.have.length(1);
    });

    it("see another database in the place of the fenced one", () => {
        expect(movements(still, { ...still, database: "8/16384" })).to.have.length(1);
    });
});

describe("watermarks of a database", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    /** A database with a row, and its watermarks. */
    async function fenced() {
        const name = await cluster.createDatabase("empty");
        await cluster.query(name, "CREATE TABLE kept (id int); INSERT INTO kept VALUES (1), (2)", "synapse");
        const read = () => withClient(cluster.address(name), { step: "test", readOnly: true }, readWatermarks);
        const before = await read();
        return { name, before, moved: async () => movements(before, await read()) };
    }

    it("stand still after a checkpoint, a reset of the counters and a vacuum that has nothing to do", async () => {
        const { name, moved } = await fenced();
        await cluster.query(name, "SELECT pg_stat_reset()");
        await cluster.query(name, "CHECKPOINT");
        await cluster.query(name, "VACUUM kept");
        expect(await moved()).to.deep.equal([]);
    });

    it("do not, when counters are reset after the fence and a superuser's session that has ended changes a row", async () => {
        const { name, moved } = await fenced();
        await cluster.query(name, "SELECT pg_stat_reset()");
        await cluster.query(name, "UPDATE kept SET id = 3 WHERE id = 1");
        expect((await moved()).join())
            .to.contain("set to zero")
            .and.to.contain("cannot be proven");
    });

    it("do not, when the counters reach the same number again", async () => {
        const { name, moved } = await fenced();
        await cluster.query(name, "SELECT pg_stat_reset()");
        await cluster.query(name, "UPDATE kept SET id = id + 7");
        expect((await moved()).join())
            .to.contain("2, then 2")
            .and.to.contain("cannot be proven");
    });

    it("are those of this database: what another one's transactions do is told apart by the counters", async () => {
        const { moved } = await fenced();
        const other = await cluster.createDatabase("empty");
        await cluster.query(other, "CREATE TABLE others (id int); INSERT INTO others VALUES (1)");
        expect(await moved()).to.deep.equal([]);
    });

    it("see a TRUNCATE, which no counter counts", async () => {
        const { name, moved } = await fenced();
        await cluster.query(name, "TRUNCATE kept");
        expect(await moved())
            .to.have.length(1)
            .and.to.have.nested.property("[0]")
            .that.contains("public.kept");
    });
});
