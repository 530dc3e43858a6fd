import { expect } from "chai";
import { Client } from "pg";
import { describeSession, foreignSessions } from "../../../../engine/fence/writingSessions.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { undoFollowing } from "../../../../engine/postgres/replication/undoFollowing.ts";
import { compareReplica } from "../../../../engine/postgres/replication/compareReplica.ts";
import { catchUp } from "../../../../engine/postgres/replication/catchUp.ts";
import { follow } from "../../../../engine/postgres/replication/follow.ts";
import { writeRecord } from "../../../../engine/postgres/replication/sourceChanges.ts";
import { missingIdentities, setIdentities } from "../../../../engine/postgres/replication/replicaIdentity.ts";
import { createSlot } from "../../../../engine/postgres/replication/slot.ts";
import { slotsOfThisProgram } from "../../../../engine/postgres/replication/forgottenSlots.ts";
import { preflightSource } from "../../../../engine/postgres/replication/sourcePreflight.ts";
import { preflightTarget } from "../../../../engine/postgres/replication/targetPreflight.ts";
import { connectionString } from "../../../../engine/postgres/replication/subscription.ts";
import { startCluster, type TestCluster } from "../../../support/cluster.ts";
import { expectError } from "../../../support/expectError.ts";
import { copyRowsByDump } from "./copyByDump.ts";
import { makePair, makeSource, startSource, tracesOn } from "./source.ts";

describe("before a source is followed", function () {
    this.timeout(120_000);
    let cluster: TestCluster;

    before(async () => {
        cluster = await startSource();
    });
    after(() => cluster.stop());

    it("advises a limit for what the slot may keep, and finds nothing else", async () => {
        const pair = await makePair(cluster, cluster);
        const [finding, ...more] = await preflightSource(pair.replication);
        expect(more).to.deep.equal([]);
        expect(finding?.id).to.equal("SM-W1301");
        expect(finding?.fix).to.contain("max_slot_wal_keep_size = '1024MB'");
        await preflightTarget(pair.replication);
        expect(await tracesOn(pair)).to.deep.equal([]);
    });

    it("refuses a server without logical replication, before anything is changed", async () => {
        const physical = await startCluster();
        try {
            await physical.query("postgres", "ALTER ROLE synapse REPLICATION");
            const pair = await makePair(physical, physical);
            const error = await expectError("SM-E1301", () => preflightSource(pair.replication));
            expect(error.detail.found).to.equal("wal_level = replica");
            await expectError("SM-E1301", () =>
                follow(pair.replication, { copy: copyRowsByDump(physical.programs), jobs: 1 }),
            );
            expect(await tracesOn(pair)).to.deep.equal([]);
        } finally {
            await physical.stop();
        }
    });

    it("refuses a role that may not replicate, publish, or change a table", async () => {
        await cluster.query("postgres", "CREATE ROLE weak LOGIN; GRANT synapse TO weak; ALTER ROLE weak NOINHERIT");
        const pair = await makePair(cluster, cluster);
        const source = { ...cluster.address(pair.sourceName, "weak") };
        await cluster.query("postgres", `ALTER ROLE weak PASSWORD '${source.password ?? ""}'`);
        await cluster.query(pair.sourceName, "GRANT SELECT ON ALL TABLES IN SCHEMA public TO weak");
        const messages = await preflightSource({ ...pair.replication, source }).then(
            () => expect.fail("it was accepted"),
            (error: unknown) => String(error),
        );
        expect(messages).to.contain('role "weak" may not replicate');
        expect(messages).to.contain('role "weak" may not make a publication');
        expect(messages).to.contain('role "weak" does not own 10 tables');
    });

    it("refuses what replication does not carry", async () => {
        const pair = await makePair(cluster, cluster);
        await cluster.query(
            pair.sourceName,
            `CREATE MATERIALIZED VIEW seen AS SELECT 1 AS one; SELECT lo_create(0); ALTER TABLE users REPLICA IDENTITY NOTHING;
            CREATE TABLE background_updates (update_name text); INSERT INTO background_updates VALUES ('event_stats')`,
            "synapse",
        );
        const { detail } = await expectError("SM-E1303", () => preflightSource(pair.replication));
        for (const part of [
            "materialized view public.seen",
            "large object",
            "table public.users",
            "background updates",
            "event_stats",
        ])
            expect(detail.found).to.contain(part);
    });

    it("refuses checks that call somebody's functions where the target would run them as a superuser, and copies nothing", async () => {
        const pair = await makePair(cluster, cluster);
        await cluster.query(
            pair.sourceName,
            `CREATE FUNCTION public.f(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
            ALTER TABLE public.rooms ADD CONSTRAINT lure CHECK (public.f(room_id))`,
            "synapse",
        );
        const error = await expectError("SM-E0545", () =>
            follow(pair.replication, { jobs: 1, copy: () => Promise.reject(new Error("it was copied")) }),
        );
        expect(error.detail.found).to.equal("check public.rooms: lure");
        expect(await tracesOn(pair)).to.deep.equal([]);
    });

    it("refuses a target whose role may not subscribe, and one that does not reach the source", async () => {
        const pair = await makePair(cluster, cluster, { admin: "migrator" });
        const { detail } = await expectError("SM-E1302", () => preflightTarget(pair.replication));
        expect(detail.expected).to.contain("superuser");
        const able = { ...pair.replication, target: cluster.superuserAddress(pair.incoming) };
        const unreachable = await expectError("SM-E1304", () =>
            preflightTarget({ ...able, seenFromTarget: { host: "127.0.0.1", port: 1 } }),
        );
        expect(unreachable.detail.where).to.contain("127.0.0.1:1, as seen from the target's server");
        const wrong = { ...able, source: { ...able.source, password: "not-the-password-at-all" } };
        const refused = await expectError("SM-E1304", () => preflightTarget(wrong));
        expect(JSON.stringify(refused.detail)).not.to.contain("not-the-password");
        expect(
            await cluster.query(pair.incoming, "SELECT subname FROM pg_subscription WHERE subname LIKE '%probe'"),
        ).to.deep.equal([]);
    });

    it("quotes what it tells the target's server, and leaves the password out where that has a file", () => {
        const upstream = { host: "h", port: 5432, database: "a'b", user: "u", password: "p'\\ x" };
        expect(connectionString(upstream)).to.equal(
            "host='h' port='5432' dbname='a\\'b' user='u' password='p\\'\\\\ x' connect_timeout='10'",
        );
        expect(connectionString({ ...upstream, passwordFile: "/srv/pg/f" }))
            .to.contain("passfile='/srv/pg/f'")
            .and.not.contain("password=");
    });

    /** A transaction that has written to the table and stays open. */
    async function whileOpen<T>(name: string, statement: string, work: () => Promise<T>): Promise<T> {
        const { host, port, user, password } = cluster.superuserAddress(name);
        const client = new Client({ host, port, database: name, user, password });
        await client.connect();
        try {
            await client.query("BEGIN");
            await client.query(statement);
            return await work();
        } finally {
            await client.end();
        }
    }

    it("names the transaction that keeps a slot from being made, and leaves no slot", async () => {
        const name = await makeSource(cluster);
        await whileOpen(name, "INSERT INTO rooms VALUES ('!open')", () =>
            withClient(cluster.superuserAddress(name), { step: "test" }, async (client) => {
                const signal = new AbortController().signal;
                const { detail } = await expectError("SM-E1305", () =>
                    createSlot(cluster.address(name), "synapse_migration_late", client, signal, 1),
                );
                expect(detail.found).to.contain("transactions that do not end");
            }),
        );
        await undoFollowing((await makePair(cluster, cluster, { sourceName: name })).replication, true);
        const { rows } = await withClient(cluster.superuserAddress(name), { step: "test" }, (client) =>
            client.query("SELECT slot_name FROM pg_replication_slots WHERE slot_name = 'synapse_migration_late'"),
        );
        expect(rows).to.deep.equal([]);
    });

    it("says which table cannot be locked", async () => {
        const name = await makeSource(cluster);
        await whileOpen(name, "LOCK TABLE users IN ACCESS SHARE MODE", () =>
            withClient(cluster.address(name), { step: "test" }, async (client) => {
                const { detail } = await expectError("SM-E1309", () =>
                    setIdentities(client, [{ schema: "public", table: "users" }], { lockSeconds: 0.1 }),
                );
                expect(detail.found).to.contain('"users" REPLICA IDENTITY FULL');
            }),
        );
    });

    it("leaves alone identities that it did not set, and those that another publication needs", async () => {
        const pair = await makePair(cluster, cluster);
        await cluster.query(pair.sourceName, "ALTER TABLE device_inbox REPLICA IDENTITY FULL", "synapse");
        const missing = await withClient(cluster.address(pair.sourceName), { step: "test" }, missingIdentities);
        expect(missing.find(({ table }) => table === "device_inbox")).to.equal(undefined);
        expect(missing.find(({ table }) => table === "events")).to.deep.equal({
            schema: "public",
            table: "events",
            index: "events_event_id",
        });
        await follow(pair.replication, { copy: copyRowsByDump(cluster.programs), jobs: 1 });
        await cluster.query(pair.sourceName, "CREATE PUBLICATION other FOR TABLE users", "synapse");
        expect(await undoFollowing(pair.replication, true)).to.deep.equal([]);
        expect(await tracesOn(pair)).to.have.members(["publication other", "identity users", "identity device_inbox"]);
        expect(pair.run.said.join("\n")).to.contain("the replica identity of public.users (publication other) stays");
    });

    it("takes over the identities of an earlier run, whose undo would break the homeserver", async () => {
        const older = await makePair(cluster, cluster);
        await follow(older.replication, { copy: copyRowsByDump(cluster.programs), jobs: 1 });
        const newer = await makePair(cluster, cluster, { sourceName: older.sourceName });
        // As in the directory of a stack, where runs are neighbours.
        const beside = `${older.run.directory}-newer`;
        const { mkdir } = await import("node:fs/promises");
        await mkdir(beside, { mode: 0o700 });
        const replication = { ...newer.replication, run: { ...newer.run, directory: beside } };
        await follow(replication, { copy: copyRowsByDump(cluster.programs), jobs: 1 });
        expect(await undoFollowing(older.replication, true)).to.deep.equal([]);
        await cluster.query(
            older.sourceName,
            "UPDATE users SET password_hash = 'x'; DELETE FROM device_inbox",
            "synapse",
        );
        expect((await tracesOn(older)).filter((trace) => trace.startsWith("identity"))).to.have.length(8);
        expect(await undoFollowing(replication, true)).to.deep.equal([]);
        expect(await tracesOn(older)).to.deep.equal([]);
    });

    it("shows slots of this program with what they keep, and a fence lets what reads from them be", async () => {
        const pair = await makePair(cluster, cluster);
        await follow(pair.replication, { copy: copyRowsByDump(cluster.programs), jobs: 1 });
        const list = () => withClient(cluster.superuserAddress(), { step: "test" }, slotsOfThisProgram);
        const name = `synapse_migration_${pair.run.id}`;
        expect((await list()).find((slot) => slot.name === name)).to.include({
            database: pair.sourceName,
            active: true,
        });
        // To this role the sender is a session of another one, whose kind it may not see.
        await cluster.query("postgres", "CREATE ROLE stranger LOGIN");
        const { password = "" } = cluster.superuserAddress();
        await cluster.query("postgres", `ALTER ROLE stranger PASSWORD '${password}'`);
        const sessions = await withClient(
            cluster.address(pair.sourceName, "stranger"),
            { step: "test" },
            foreignSessions,
        );
        expect(sessions.map(describeSession)).to.deep.equal([]);
        await undoFollowing(pair.replication, true);
        expect((await list()).find((slot) => slot.name === name)).to.equal(undefined);
    });

    it("finds a sequence of the target that is behind, after everything was taken over", async () => {
        const pair = await makePair(cluster, cluster);
        const { digest } = await follow(pair.replication, { copy: copyRowsByDump(cluster.programs), jobs: 1 });
        const { bulk, parts, left, ...proof } = await catchUp(pair.replication, { digest, verify: "quick", jobs: 1 });
        expect([Object.keys(parts).length, left]).to.deep.equal([6, []]);
        const manifest = {
            ...{
                run: pair.run.id,
                serverName: "x",
                verify: "quick" as const,
                copiedAt: bulk.copiedAt,
                copied: bulk.tables,
            },
            ...{ definitions: bulk.definitions, ...proof, checks: [...proof.checks], sequences: [...proof.sequences] },
        };
        const compare = async () => {
            const { checks } = await compareReplica(cluster.superuserAddress(pair.incoming), manifest, "synapse");
            return checks.filter(({ state }) => state === "failed").map(({ id }) => id);
        };
        expect(await compare()).to.deep.equal([]);
        await cluster.query(pair.incoming, "SELECT setval('events_stream_seq', 1)");
        expect(await compare()).to.include("database-sequences");
        await cluster.query(pair.incoming, "DROP INDEX events_stream_ordering");
        expect(await compare()).to.include("database-definitions");
        // Records of other runs are no reason to fail.
        await writeRecord(pair.run.directory, {
            run: pair.run.id,
            identities: [],
            state: "ended",
            sourceCleared: true,
        });
    });
});
