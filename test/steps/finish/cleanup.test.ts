import { expect } from "chai";
import { mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cleanup } from "../../../steps/finish/cleanup.ts";
import { cleanupContract } from "../../../contract/index.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { safeguard } from "../../../steps/migrate/safeguard.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { newRun } from "../../support/migrationDump.ts";
import { done, undone } from "../../support/migrationSpecs.ts";
import { testRun } from "../../support/stepRun.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const hoursAgo = (hours: number): string => new Date(Date.now() - hours * 3_600_000).toISOString();

describe("the step cleanup", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    /** A run that has put a database aside: an empty one, or one with data and its copy. */
    async function swapped(content: "empty" | "data", run?: { readonly id: string; readonly directory: string }) {
        const used = run === undefined ? await newRun(cluster) : testRun(run.id, run.directory);
        const name = await cluster.createDatabase();
        if (content === "data")
            await cluster.query(name, "CREATE TABLE diary (entry text); INSERT INTO diary VALUES ('dear')", "synapse");
        const base = { run: { id: used.id, directory: used.directory }, database: cluster.target(name) };
        const made = await safeguard.act({ ...base, replace: true }, used);
        const copy =
            made.previous === "copied" ? { copy: { manifestFile: made.manifestFile, digest: made.digest } } : {};
        const previous = `${name}_pre_${used.id}`;
        await cluster.query("postgres", `ALTER DATABASE ${name} RENAME TO ${previous}`);
        return { run: used, previous, spec: { ...base, ...copy, previous, openedAt: hoursAgo(1), safeguardHours: 24 } };
    }
    const due = { openedAt: hoursAgo(25) };

    it("drops an empty database that was put aside, dump, canary and specifications, at once", async () => {
        const { run, previous, spec } = await swapped("empty");
        for (const directory of ["dump", "specs", "evidence"]) await mkdir(join(run.directory, directory));
        for (const file of ["dump/1.dat", "canary.json"]) await writeFile(join(run.directory, file), "12345");
        const result = await cleanup.act(spec, run);
        expect(result).to.deep.equal({ removedBytes: 10, removedDatabases: [previous], kept: [] });
        expect(await readdir(run.directory)).to.deep.equal(["evidence"]);
        expect(await cluster.databases()).to.not.include(previous);
        expect(await cleanup.act(spec, run)).to.deep.equal({ removedBytes: 0, removedDatabases: [], kept: [] });
        const { previous: none, ...without } = spec;
        expect(none).to.equal(previous);
        expect(await cleanup.act(without, run)).to.deep.equal({ removedBytes: 0, removedDatabases: [], kept: [] });
    });

    it("removes what the copy knew of itself from the database that serves", async () => {
        const { run, spec } = await swapped("empty");
        const { name } = spec.database;
        await cluster.createDatabase("empty", name);
        const tables = ["copy", "copy_part", "copy_entry"].map((table) => `synapse_migration.${table}`);
        const make = tables.map((table) => `CREATE TABLE ${table} ()`).join("; ");
        await cluster.query(name, `CREATE SCHEMA synapse_migration; ${make}`, "synapse");
        await cleanup.act(spec, run);
        const left = await cluster.query(
            name,
            "SELECT tablename FROM pg_tables WHERE schemaname = 'synapse_migration'",
        );
        expect(left).to.deep.equal([]);
    });

    it("refuses to drop what holds data and was not copied", async () => {
        const { run, previous, spec } = await swapped("empty");
        await cluster.query(previous, "CREATE TABLE precious (a int)");
        const error = await expectError("SM-E0804", () => cleanup.act(spec, run));
        expect(error.detail.found).to.equal("table public.precious");
        expect(await cluster.databases()).to.include(previous);
    });

    it("keeps a database that held data, and its copy, until the hours have passed; then the same step removes both", async () => {
        await withWorkDirectory(async (directory) => {
            await mkdir(directory, { mode: 0o700 });
            const { previous, spec } = await swapped("data", {
                id: cluster.newName("r").replaceAll("_", ""),
                directory,
            });
            const until = new Date(Date.parse(spec.openedAt) + 24 * 3_600_000).toISOString();
            const first = await done(cleanup, spec, cleanupContract.result);
            expect(first).to.deep.include({ removedDatabases: [], kept: [{ name: previous, until }] });
            expect(await done(cleanup, spec, cleanupContract.result)).to.deep.include({ kept: first.kept });
            expect(await cluster.databases()).to.include(previous);
            expect(await readdir(join(directory, "safeguard"))).to.have.members(["dump", "manifest.json"]);
            // The new resource is made before the old one is taken back.
            const second = await done(cleanup, { ...spec, ...due }, cleanupContract.result);
            await undone(cleanup, spec);
            expect(second).to.deep.include({ removedDatabases: [previous], kept: [] });
            expect(second.removedBytes).to.be.greaterThan(1000);
            expect(await cluster.databases()).to.not.include(previous);
            expect(await readdir(directory)).to.not.include("safeguard");
            expect(await done(cleanup, { ...spec, ...due }, cleanupContract.result)).to.deep.include({
                removedDatabases: [],
                kept: [],
            });
        });
    });

    it("keeps for longer when more hours are asked for, and never takes less than a day", async () => {
        const { run, spec } = await swapped("data");
        const result = await cleanup.act({ ...spec, ...due, safeguardHours: 26 }, run);
        expect(result.kept).to.have.length(1);
        expect(cleanupContract.spec.safeParse({ ...spec, safeguardHours: 23 }).success).to.equal(false);
    });

    it("keeps a database that was written to since it was copied, and says what is not in the copy", async () => {
        const { run, previous, spec } = await swapped("data");
        await cluster.query(previous, "INSERT INTO diary VALUES ('and then')");
        const { kept } = await cleanup.act({ ...spec, ...due }, run);
        expect(kept[0]?.reason).to.equal(
            "it was written to since it was copied: public.diary: 1 rows in the dump, 2 in the database",
        );
        expect(run.said.at(-1)).to.match(/then until somebody drops them/);
        expect(await cluster.databases()).to.include(previous);
        expect(await readdir(join(run.directory, "safeguard"))).to.have.members(["dump", "manifest.json"]);
    });

    it("keeps a database whose copy is not there any more, or is another one's", async () => {
        const { run, previous, spec } = await swapped("data");
        await cluster.query("postgres", `ALTER DATABASE ${previous} RENAME TO ${previous}_x`);
        await cluster.query("postgres", `CREATE DATABASE ${previous} TEMPLATE ${previous}_x`);
        expect((await cleanup.act({ ...spec, ...due }, run)).kept[0]?.reason).to.match(
            /not the database that was copied/,
        );
        await cluster.query("postgres", `DROP DATABASE ${previous}`);
        await cluster.query("postgres", `ALTER DATABASE ${previous}_x RENAME TO ${previous}`);
        await rm(join(run.directory, "safeguard", "manifest.json"));
        expect((await cleanup.act({ ...spec, ...due }, run)).kept[0]?.reason).to.match(/manifest of its copy.*is gone/);
        expect(await cluster.databases()).to.include(previous);
    });

    it("drops nothing that somebody is connected to", async () => {
        const { run, previous, spec } = await swapped("data");
        await withClient(cluster.address(previous), { step: "someone" }, async () => {
            await expectError("SM-E0709", () => cleanup.act({ ...spec, ...due }, run));
        });
        expect((await cleanup.act({ ...spec, ...due }, run)).removedDatabases).to.deep.equal([previous]);
    });

    it("removes the copy that a kill between both removals has left", async () => {
        const { run, previous, spec } = await swapped("data");
        await cluster.query("postgres", `DROP DATABASE ${previous}`);
        expect((await cleanup.act(spec, run)).kept, "not before its time").to.have.length(1);
        const result = await cleanup.act({ ...spec, ...due }, run);
        expect(result).to.deep.include({ removedDatabases: [], kept: [] });
        expect(await readdir(run.directory)).to.deep.equal([]);
    });
});
