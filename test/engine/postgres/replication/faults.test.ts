import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { undoFollowing, refuseLeftovers } from "../../../../engine/postgres/replication/undoFollowing.ts";
import { catchUp } from "../../../../engine/postgres/replication/catchUp.ts";
import { follow, type Following } from "../../../../engine/postgres/replication/follow.ts";
import { readRecord } from "../../../../engine/postgres/replication/sourceChanges.ts";
import { settle } from "../../../../engine/postgres/replication/settle.ts";
import { MigrationError } from "../../../../engine/run/errors.ts";
import type { TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { testRun } from "../../../support/stepRun.ts";
import { copyRowsByDump } from "./copyByDump.ts";
import { makePair, startSource, startWriter, tracesOn, type Pair, type Writer } from "./source.ts";

describe("what goes wrong while a source is followed", function () {
    this.timeout(120_000);
    let cluster: TestCluster;

    before(async () => {
        cluster = await startSource();
    });
    after(() => cluster.stop());

    const begin = (pair: Pair): Promise<Following> =>
        follow(pair.replication, { copy: copyRowsByDump(cluster.programs), jobs: 1 });
    const end = (pair: Pair, digest: string, verify: "quick" | "strict" = "quick") =>
        catchUp(pair.replication, { digest, verify, jobs: 1, deadlineSeconds: 60 });
    const subscriptions = async ({ incoming }: Pair) =>
        cluster.query(
            incoming,
            "SELECT subname FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database()",
        );

    async function expectNothingLeft(pair: Pair): Promise<void> {
        expect(await tracesOn(pair)).to.deep.equal([]);
        expect(await subscriptions(pair)).to.deep.equal([]);
        expect(await readRecord(pair.run.directory)).to.equal(undefined);
    }

    async function expectEqual(pair: Pair): Promise<void> {
        const options = { step: "test", jobs: 1 };
        const rowsOf = async (name: string) =>
            (await tableFingerprints(cluster.address(name), options)).map((table) => ({ ...table, bytes: 0 }));
        expect(await rowsOf(pair.incoming)).to.deep.equal(await rowsOf(pair.sourceName));
    }

    async function whileWriting<T>(pair: Pair, work: (writer: Writer) => Promise<T>): Promise<T> {
        const writer = startWriter(cluster, pair.sourceName);
        try {
            return await work(writer);
        } finally {
            await writer.stop();
        }
    }

    it("loses nothing when sender and worker are killed again and again", async () => {
        const pair = await makePair(cluster, cluster);
        const { digest } = await whileWriting(pair, async () => {
            const followed = await begin(pair);
            for (const kind of ["walsender", "logical replication worker", "walsender"]) {
                await cluster.query(
                    "postgres",
                    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = '${kind}'`,
                );
                await delay(300);
            }
            return followed;
        });
        const { checks } = await end(pair, digest, "strict");
        expect(checks.find(({ id }) => id === "replica-errors")?.state).to.be.oneOf(["warning", "passed"]);
        await expectEqual(pair);
        await undoFollowing(pair.replication, true);
        await expectNothingLeft(pair);
    });

    for (const { title, during } of [
        {
            title: "the sessions of the source are killed while it is copied",
            during: () =>
                cluster.query(
                    "postgres",
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'synapse-migration slot%'",
                ),
        },
        { title: "the copy fails", during: () => Promise.reject(new Error("no more space")) },
    ])
        it(`leaves nothing behind when ${title}`, async () => {
            const pair = await makePair(cluster, cluster);
            await whileWriting(pair, async (writer) => {
                const copy = copyRowsByDump(cluster.programs);
                const failing = follow(pair.replication, {
                    jobs: 1,
                    copy: async (what, run) => {
                        await during();
                        await delay(200, undefined, { signal: run.signal });
                        return copy(what, run);
                    },
                });
                await failing.then(
                    () => expect.fail("it went on"),
                    () => undefined,
                );
                expect(writer.errors).to.deep.equal([]);
            });
            await expectNothingLeft(pair);
        });

    it("leaves nothing behind when it is stopped, and can be begun again", async () => {
        const pair = await makePair(cluster, cluster);
        const aborter = new AbortController();
        const run = testRun(pair.run.id, pair.run.directory, aborter.signal);
        const stopped = follow(
            { ...pair.replication, run },
            {
                jobs: 1,
                copy: async () => {
                    setTimeout(() => aborter.abort(new Error("stopped by the administrator")), 10);
                    await delay(60_000, undefined, { signal: aborter.signal });
                    return { tables: [], bytes: 0 };
                },
            },
        );
        await stopped.then(
            () => expect.fail("it went on"),
            () => undefined,
        );
        await expectNothingLeft(pair);
        const { digest } = await begin(pair);
        await end(pair, digest);
        await expectEqual(pair);
    });

    it("is taken back, or begun again, after the program was killed at its worst moment", async () => {
        for (const phase of ["copying", "following"]) {
            const pair = await makePair(cluster, cluster);
            const { source, target, owner } = pair.replication;
            const { id, directory } = pair.run;
            const child = spawn(
                process.execPath,
                ["--import", "tsx", fileURLToPath(new URL("followProcess.ts", import.meta.url))],
                { stdio: ["pipe", "pipe", "inherit"] },
            );
            const exited = once(child, "exit");
            child.stdin.end(
                JSON.stringify({ source, target, owner, id, directory, phase, programs: cluster.programs }),
            );
            await once(child.stdout, "data");
            child.kill("SIGKILL");
            await exited;
            expect((await tracesOn(pair)).some((trace) => trace.startsWith("slot "))).to.equal(true);
            expect(await undoFollowing(pair.replication, true)).to.deep.equal([]);
            await expectNothingLeft(pair);
        }
    });

    it("refuses a source whose definitions or schema version have changed, before and after it is stopped", async () => {
        const pair = await makePair(cluster, cluster);
        const { digest } = await begin(pair);
        for (const [change, back] of [
            ["CREATE INDEX events_new ON events (event_id, stream_ordering)", "DROP INDEX events_new"],
            ["ALTER TABLE users ALTER COLUMN name SET NOT NULL", "ALTER TABLE users ALTER COLUMN name DROP NOT NULL"],
            ["CREATE TABLE new_table (id bigint)", "DROP TABLE new_table"],
            ["INSERT INTO applied_schema_deltas VALUES (94, '02.sql')", "SELECT 1"],
        ] as const) {
            await cluster.query(pair.sourceName, change, "synapse");
            await expectError("SM-E1306", () => settle(pair.replication, { digest }));
            if (back === "SELECT 1") await expectError("SM-E1306", () => end(pair, digest));
            await cluster.query(pair.sourceName, back, "synapse");
        }
        expect(await undoFollowing(pair.replication, true)).to.deep.equal([]);
        await expectNothingLeft(pair);
    });

    it("names what is left when the target cannot be reached, frees the source's disk, and ends with the next attempt", async () => {
        const pair = await makePair(cluster, cluster);
        await begin(pair);
        const away = { ...pair.replication, target: { ...pair.replication.target, port: 1 } };
        const left = await undoFollowing(away, true);
        expect(left).to.have.length(1);
        expect(left[0]).to.contain("subscription");
        expect(() => refuseLeftovers(left, "test"))
            .to.throw(MigrationError)
            .with.property("code", "SM-E1308");
        expect(await tracesOn(pair)).to.deep.equal([]);
        expect(await undoFollowing(pair.replication, true)).to.deep.equal([]);
        await expectNothingLeft(pair);
    });

    it("names slot, publication and identities when the source cannot be reached", async () => {
        const pair = await makePair(cluster, cluster);
        await begin(pair);
        const away = { ...pair.replication, source: { ...pair.replication.source, port: 1 } };
        const left = await undoFollowing(away, true);
        expect(left.join("\n")).to.contain(`pg_drop_replication_slot('synapse_migration_${pair.run.id}')`);
        expect(left.join("\n")).to.contain("replica identities of 8 tables");
        expect(await subscriptions(pair)).to.deep.equal([]);
        expect(await undoFollowing(pair.replication, true)).to.deep.equal([]);
        await expectNothingLeft(pair);
    });

    it("says so when slot or subscription are gone or disabled, or nothing arrives in time", async () => {
        const pair = await makePair(cluster, cluster);
        const { digest } = await begin(pair);
        const name = `synapse_migration_${pair.run.id}`;
        await cluster.query(pair.incoming, `ALTER SUBSCRIPTION ${name} DISABLE`);
        await expectError("SM-E1305", () => end(pair, digest));
        await cluster.query(pair.incoming, `ALTER SUBSCRIPTION ${name} ENABLE`);
        // A row that the target has already: what the source inserts next cannot be applied.
        await cluster.query(pair.incoming, "INSERT INTO rooms VALUES ('!conflict', true)");
        await cluster.query(pair.sourceName, "INSERT INTO rooms VALUES ('!conflict', true)");
        const stuck = await expectError("SM-E1305", () =>
            catchUp(pair.replication, { digest, verify: "quick", jobs: 1, deadlineSeconds: 3 }),
        );
        expect(stuck.detail.found).to.contain("is not confirmed after 3 s");
        await cluster.query(pair.incoming, `ALTER SUBSCRIPTION ${name} DISABLE`);
        await undoFollowing(pair.replication, true);
        await expectError("SM-E1310", () => settle(pair.replication, { digest }));
    });

    it("goes on without a temporary key when the source inserts what the key does not allow", async () => {
        const pair = await makePair(cluster, cluster);
        const { digest } = await begin(pair);
        const keys = await cluster.query(
            pair.incoming,
            "SELECT tablename FROM pg_indexes WHERE indexname LIKE 'synapse_migration_key%' ORDER BY tablename",
        );
        expect(keys).to.deep.equal([{ tablename: "event_push_actions" }, { tablename: "state_groups_state" }]);
        await cluster.query(pair.sourceName, "INSERT INTO state_groups_state SELECT * FROM state_groups_state LIMIT 1");
        await cluster.query(pair.sourceName, "DELETE FROM state_groups_state WHERE state_group = 7");
        await end(pair, digest, "strict");
        expect(pair.run.said.join("\n")).to.contain("without the temporary keys");
        await expectEqual(pair);
        expect(
            await cluster.query(pair.incoming, "SELECT FROM pg_indexes WHERE indexname LIKE 'synapse_migration_key%'"),
        ).to.deep.equal([]);
        expect(
            await cluster.query(
                pair.incoming,
                "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relreplident <> 'd'",
            ),
        ).to.deep.equal([]);
    });

    it("finds deleted rows of tables without a key by temporary ones before PostgreSQL 16", async () => {
        const pair = await makePair(cluster, cluster);
        const { digest } = await begin(pair);
        await cluster.query(pair.sourceName, "DELETE FROM state_groups_state WHERE state_group < 200");
        await cluster.query(pair.sourceName, "DELETE FROM event_push_actions WHERE room_id < '!r2'");
        await end(pair, digest, "strict");
        await expectEqual(pair);
        // Without a key, each of the 1999 and of the 2880 rows would have been a scan.
        const scans = await cluster.query(
            pair.incoming,
            "SELECT relname FROM pg_stat_user_tables WHERE relname IN ('state_groups_state', 'event_push_actions') AND seq_scan < 100",
        );
        expect(scans).to.have.length(2);
    });

    it("never accepts rows on the target that differ from the source's", async () => {
        const pair = await makePair(cluster, cluster);
        const { digest } = await begin(pair);
        await withClient(cluster.address(pair.incoming), { step: "test" }, (client) =>
            client.query("UPDATE public.events SET json = '{}' WHERE stream_ordering = 2999"),
        );
        const error = await expectError("SM-E1307", () => end(pair, digest));
        expect(error.detail.found).to.contain("replica-tails: public.events");
        await withClient(cluster.address(pair.incoming), { step: "test" }, (client) =>
            client.query("UPDATE public.rooms SET public = NOT public"),
        );
        const strict = await expectError("SM-E1307", () => end(pair, digest, "strict"));
        expect(strict.detail.found).to.contain("replica-rows: public.events");
        expect(strict.detail.found).to.contain("public.rooms");
        await undoFollowing(pair.replication, true);
        await expectNothingLeft(pair);
    });
});
