import { expect } from "chai";
import { rm } from "node:fs/promises";
import { withClient } from "../../../engine/postgres/connection.ts";
import { createMarker, readMarker, type MarkerState } from "../../../engine/postgres/databases/marker.ts";
import { beginJournal } from "../../../engine/postgres/directCopy/doneTasks.ts";
import { safeguard } from "../../../steps/migrate/safeguard.ts";
import { swap } from "../../../steps/migrate/swap.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { newRun } from "../../support/migrationDump.ts";

describe("the step swap", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    const mark = (name: string, run: string, state: MarkerState) =>
        withClient(cluster.address(name), { step: "test" }, (client) =>
            createMarker(client, run, testServerName, state),
        );
    const stateOf = async (name: string) =>
        (await withClient(cluster.address(name), { step: "test" }, readMarker))?.state;
    const found = async (name: string) =>
        (await cluster.databases()).filter((database) => database.startsWith(`${name}_`) || database === name);

    /** A verified incoming database with a table, and an empty database with the target's name. */
    async function prepared(options: { final?: boolean; state?: MarkerState } = {}) {
        const run = await newRun(cluster);
        const name = cluster.newName("swap");
        if (options.final !== false) await cluster.createDatabase("empty", name);
        const incoming = await cluster.createDatabase("empty", `${name}_incoming_${run.id}`);
        await cluster.query(incoming, "CREATE TABLE users (name text)", "synapse");
        await mark(incoming, run.id, options.state ?? "verified");
        const spec = {
            run: { id: run.id, directory: run.directory },
            database: cluster.target(name),
            incoming,
            proof: "0".repeat(64),
        };
        return { run, name, incoming, previous: `${name}_pre_${run.id}`, spec };
    }

    it("gives the restored database the name and keeps the one that had it", async () => {
        const { run, name, previous, spec } = await prepared();
        const result = await swap.act(spec, run);
        expect(result).to.include({ name, previous });
        expect(await found(name)).to.deep.equal([name, previous]);
        expect(await stateOf(name)).to.equal("swapped");
        expect(await swap.act(spec, run)).to.deep.equal(result);
    });

    it("leaves nothing of ours in it but the marker: what the copy knew of itself goes, and the way back works without", async () => {
        const { run, name, incoming, spec } = await prepared();
        await withClient(cluster.address(incoming, "synapse"), { step: "test" }, (client) =>
            beginJournal(client, "token", []),
        );
        const ours = async (database: string) =>
            cluster.query(
                database,
                "SELECT tablename FROM pg_tables WHERE schemaname = 'synapse_migration' ORDER BY 1",
            );
        expect(await ours(incoming)).to.have.length(4);
        const result = await swap.act(spec, run);
        expect(await ours(name)).to.deep.equal([{ tablename: "marker" }]);
        await swap.undo?.(spec, run);
        expect(await stateOf(incoming)).to.equal("verified");
        expect(await swap.act(spec, run)).to.deep.equal(result);
        expect(await ours(name)).to.deep.equal([{ tablename: "marker" }]);
    });

    it("removes it, too, where it was killed after the renames", async () => {
        const { run, name, spec } = await prepared();
        await swap.act(spec, run);
        await withClient(cluster.address(name, "synapse"), { step: "test" }, (client) =>
            beginJournal(client, "token", []),
        );
        await swap.act(spec, run);
        expect(
            await cluster.query(name, "SELECT tablename FROM pg_tables WHERE schemaname = 'synapse_migration'"),
        ).to.deep.equal([{ tablename: "marker" }]);
    });

    it("swaps in where no database had the name", async () => {
        const { run, name, spec } = await prepared({ final: false });
        expect(await swap.act(spec, run)).to.not.have.property("previous");
        expect(await found(name)).to.deep.equal([name]);
    });

    it("goes on between the two renames", async () => {
        const { run, name, previous, spec } = await prepared();
        await cluster.query("postgres", `ALTER DATABASE ${name} RENAME TO ${previous}`);
        expect(await swap.act(spec, run)).to.include({ name, previous });
        expect(await found(name)).to.deep.equal([name, previous]);
    });

    it("goes on after both renames, before the marker was moved", async () => {
        const { run, name, incoming, previous, spec } = await prepared();
        await cluster.query("postgres", `ALTER DATABASE ${name} RENAME TO ${previous}`);
        await cluster.query("postgres", `ALTER DATABASE ${incoming} RENAME TO ${name}`);
        expect(await swap.act(spec, run)).to.include({ name, previous });
        expect(await stateOf(name)).to.equal("swapped");
    });

    it("names who is connected, ends nobody's session, and renames nothing", async () => {
        const { run, name, incoming, spec } = await prepared();
        await withClient(cluster.address(name), { step: "someone" }, async (client) => {
            const error = await expectError("SM-E0709", () => swap.act(spec, run));
            expect(error.detail.found).to.match(
                /^pid \d+, application "synapse-migration someone", role synapse, database swap_/,
            );
            expect((await client.query("SELECT 1")).rowCount).to.equal(1);
        });
        expect(await found(name)).to.deep.equal([name, incoming]);
    });

    it("refuses a database that has not been verified", async () => {
        const { run, spec } = await prepared({ state: "restored" });
        await expectError("SM-E0708", () => swap.act(spec, run));
    });

    it("refuses to put anything aside that holds something", async () => {
        const { run, name, incoming, spec } = await prepared();
        await cluster.query(name, "CREATE TABLE precious (a int)");
        expect((await expectError("SM-E0804", () => swap.act(spec, run))).detail.found).to.equal(
            "table public.precious",
        );
        expect(await found(name)).to.deep.equal([name, incoming]);
    });

    it("puts aside what holds data when that is what was copied, and gives it its name back with all rows", async () => {
        const { run, name, incoming, previous, spec } = await prepared();
        await cluster.query(name, "CREATE TABLE precious (a int); INSERT INTO precious VALUES (1), (2)", "synapse");
        const made = await safeguard.act({ run: spec.run, database: spec.database, replace: true }, run);
        if (made.previous !== "copied") throw new Error(made.previous);
        const copying = { ...spec, copy: { manifestFile: made.manifestFile, digest: made.digest } };
        expect(await swap.act(copying, run)).to.include({ name, previous });
        expect(await cluster.query(previous, "SELECT a FROM precious")).to.have.length(2);
        expect(await swap.act(copying, run)).to.include({ previous });
        await swap.undo?.(copying, run);
        expect(await found(name)).to.deep.equal([name, incoming]);
        expect(await cluster.query(name, "SELECT a FROM precious", "synapse")).to.have.length(2);

        await withClient(cluster.address(name), { step: "someone" }, () =>
            expectError("SM-E0709", () => swap.act(copying, run)),
        );
        await cluster.query("postgres", `ALTER DATABASE ${name} RENAME TO ${name}_x`);
        await cluster.query("postgres", `CREATE DATABASE ${name} TEMPLATE ${name}_x`);
        const error = await expectError("SM-E0804", () => swap.act(copying, run));
        expect(error.detail.expected).to.match(/^the one with oid \d+, which was copied, or an empty database/);
        await rm(made.manifestFile);
        await expectError("SM-E0911", () => swap.act(copying, run));
        expect(await found(name)).to.deep.equal([name, incoming, `${name}_x`]);
    });

    it("refuses to touch a committed target, in both directions", async () => {
        const { run, name, incoming, spec } = await prepared();
        await mark(name, run.id, "committed");
        await expectError("SM-E0707", () => swap.act(spec, run));
        await cluster.query("postgres", `DROP DATABASE ${incoming}`);
        await expectError("SM-E0707", async () => swap.undo?.(spec, run));
    });

    it("is taken back: both databases have their names again, and it can be done anew", async () => {
        const { run, name, incoming, spec } = await prepared();
        await swap.act(spec, run);
        await swap.undo?.(spec, run);
        expect(await found(name)).to.deep.equal([name, incoming]);
        expect(await stateOf(incoming)).to.equal("verified");
        await swap.undo?.(spec, run);
        expect(run.said.at(-1)).to.match(/nothing was renamed/);
        await swap.act(spec, run);
        expect(await stateOf(name)).to.equal("swapped");
    });

    it("takes back even what was committed where the target may be destroyed whole", async () => {
        const { run, name, incoming, spec } = await prepared();
        await swap.act(spec, run);
        await cluster.query(name, "UPDATE synapse_migration.marker SET state = 'committed'");
        await swap.undo?.({ ...spec, run: { ...spec.run, disposable: true } }, run);
        expect(await found(name)).to.deep.equal([name, incoming]);
    });

    it("takes back a swap that was cut between the two renames", async () => {
        const { run, name, incoming, previous, spec } = await prepared();
        await cluster.query("postgres", `ALTER DATABASE ${name} RENAME TO ${previous}`);
        await swap.undo?.(spec, run);
        expect(await found(name)).to.deep.equal([name, incoming]);
    });

    it("refuses where a name that it needs is taken", async () => {
        const { run, previous, incoming, spec } = await prepared();
        await cluster.createDatabase("empty", previous);
        await expectError("SM-E0708", () => swap.act(spec, run));
        await cluster.query("postgres", `DROP DATABASE ${previous}`);
        await swap.act(spec, run);
        await cluster.createDatabase("empty", incoming);
        await expectError("SM-E0708", async () => swap.undo?.(spec, run));
    });
});
