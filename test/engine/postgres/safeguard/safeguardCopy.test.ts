import { expect } from "chai";
import { spawn } from "node:child_process";
import { lstat, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { restore } from "../../../../steps/migrate/restore.ts";
import { safeguard } from "../../../../steps/migrate/safeguard.ts";
import { swap } from "../../../../steps/migrate/swap.ts";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { tableFingerprints } from "../../../../engine/postgres/compare/fingerprint.ts";
import { readManifest } from "../../../../engine/postgres/compare/dumpManifest.ts";
import { createMarker, type MarkerState } from "../../../../engine/postgres/databases/marker.ts";
import { refuseLackingSpace } from "../../../../engine/postgres/safeguard/safeguardSpace.ts";
import { expectError } from "../../../support/expectError.ts";
import { testCluster, testServerName, type TestCluster } from "../../../support/cluster.ts";
import { copyDump, makeDump, newRun, restoreSpec } from "../../../support/migrationDump.ts";
import type { TestRun } from "../../../support/stepRun.ts";
import { untilTrue } from "../../../support/waiting.ts";

describe("the step safeguard, where the database may be replaced", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
    });

    const specOf = (run: TestRun, name: string) => ({
        run: { id: run.id, directory: run.directory },
        database: cluster.target(name),
        replace: true,
        jobs: 2,
    });
    const rowsOf = (name: string) => tableFingerprints(cluster.superuserAddress(name), { step: "test", jobs: 1 });
    const scratchOf = (run: TestRun, name: string) => `${name}_safecheck_${run.id}`;
    const mark = (name: string, run: string, state: MarkerState) =>
        withClient(cluster.address(name), { step: "test" }, (client) =>
            createMarker(client, run, testServerName, state),
        );
    async function copied(run: TestRun, name: string) {
        const result = await safeguard.act(specOf(run, name), run);
        if (result.previous !== "copied") throw new Error(`nothing was copied: ${result.previous}`);
        return { ...result, manifest: await readManifest(result.manifestFile, result.digest) };
    }
    /** Acts before a part of the step whose title begins like this. */
    function beforePart(run: TestRun, title: string, act: () => Promise<unknown>): TestRun {
        const { progress } = run;
        return {
            ...run,
            progress: {
                say: (line) => progress.say(line),
                note: (line) => progress.note(line),
                during: async (begun, work, detail) => {
                    if (begun.startsWith(title)) await act();
                    return progress.during(begun, work, detail);
                },
            },
        };
    }

    it("copies a homeserver's database, restores the copy to prove it, and leaves the database as it is", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase("synapse");
        const before = await rowsOf(name);
        const { manifest, ...result } = await copied(run, name);
        const rows = before.reduce((sum, table) => sum + table.rows, 0);
        expect(result).to.include({ previous: "copied", rows });
        expect(result.bytes).to.be.greaterThan(100_000);
        expect(JSON.stringify(result).length).to.be.lessThan(4096);
        expect(manifest.tables.map(({ name, rows, hash }) => [name, rows, hash])).to.deep.equal(
            before.map(({ name, rows, hash }) => [name, rows, hash]),
        );
        expect(await readdir(join(run.directory, "safeguard"))).to.have.members(["dump", "manifest.json"]);
        expect(await readdir(join(run.directory, "safeguard", "dump"))).to.have.members(
            manifest.files.map(({ path }) => path),
        );
        expect(await readdir(run.directory)).to.deep.equal(["safeguard"]);
        expect((await lstat(join(run.directory, "safeguard"))).mode & 0o777).to.equal(0o700);
        expect(await cluster.databases()).to.not.include(scratchOf(run, name));
        expect(await rowsOf(name)).to.deep.equal(before);
        expect(run.evidences.at(-1)).to.have.property("checks").with.length(3);

        await safeguard.undo?.(specOf(run, name), run);
        expect(await readdir(run.directory)).to.deep.equal([]);
        await safeguard.undo?.(specOf(run, name), run);
        expect(run.said.at(-1)).to.match(/no copy was made/);
        expect(await rowsOf(name)).to.deep.equal(before);
    });

    it("copies somebody's database that is not Synapse's, whatever its names, encoding and large objects", async () => {
        const run = await newRun(cluster);
        const name = cluster.newName("somebody");
        await cluster.query(
            "postgres",
            `CREATE DATABASE ${name} OWNER synapse TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`,
        );
        await cluster.query(
            name,
            `CREATE TABLE "Tagebuch des Käpt'ns" ("Nr." serial PRIMARY KEY, "Wörter" text);
            INSERT INTO "Tagebuch des Käpt'ns" ("Wörter") VALUES ('Käse'), (E'a\\nb\\\\N'), (NULL);
            CREATE TABLE "Tagebuch" (a int); CREATE SCHEMA other; CREATE TABLE other.parts (a int) PARTITION BY RANGE (a);
            CREATE TABLE other.part PARTITION OF other.parts DEFAULT; INSERT INTO other.parts VALUES (7);
            SELECT lo_from_bytea(4712, '\\x00ff10')`,
            "synapse",
        );
        const { manifest, ...result } = await copied(run, name);
        expect(result.rows).to.equal(5);
        expect(manifest.database.encoding).to.equal("LATIN1");
        expect(manifest.tables.map(({ name }) => name)).to.have.members([
            "Tagebuch des Käpt'ns",
            "Tagebuch",
            "part",
            "pg_largeobject",
        ]);
    });

    it("restores the copy as no superuser, though Synapse's own role be one", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase("synapse");
        const database = await cluster.installed(name, "postgres");
        const { previous } = await safeguard.act({ ...specOf(run, name), database }, run);
        expect(previous).to.equal("copied");
        const scratch = scratchOf(run, name);
        expect(await cluster.databases()).to.not.include(scratch);
        const roles = `SELECT rolname FROM pg_roles WHERE rolname = '${scratch}'`;
        expect(await cluster.query("postgres", roles)).to.deep.equal([]);
    });

    it("finds a row that is another one in the copy, and replaces nothing", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase();
        await cluster.query(
            name,
            "CREATE TABLE diary (entry text); INSERT INTO diary VALUES ('dear diary')",
            "synapse",
        );
        const altering = beforePart(run, "restoring pre-data", async () => {
            const directory = join(run.directory, "safeguard", "dump.partial");
            for (const file of (await readdir(directory)).filter((file) => /^\d+\.dat$/.test(file))) {
                const text = await readFile(join(directory, file), "utf8");
                await writeFile(join(directory, file), text.replace("dear", "dead"));
            }
        });
        const error = await expectError("SM-E0601", () => safeguard.act(specOf(run, name), altering));
        expect(error.detail.found).to.equal("database-rows: public.diary: 1 rows, but not the same ones");
        expect(await readdir(join(run.directory, "safeguard"))).to.deep.equal(["dump.partial"]);
        expect(await cluster.databases())
            .to.include(name)
            .and.not.include(scratchOf(run, name));
        expect(await cluster.query(name, "SELECT entry FROM diary")).to.deep.equal([{ entry: "dear diary" }]);
        expect((await copied(run, name)).rows).to.equal(1);
    });

    it("finds a large object that is another one in the copy", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase();
        await cluster.query(name, "SELECT lo_from_bytea(4713, 'dear diary')", "synapse");
        const altering = beforePart(run, "comparing", () =>
            cluster.query(scratchOf(run, name), "SELECT lo_put(4713, 0, 'dead')"),
        );
        const error = await expectError("SM-E0601", () => safeguard.act(specOf(run, name), altering));
        expect(error.detail.found).to.match(/pg_catalog.pg_largeobject: 1 rows, but not the same ones/);
    });

    it("starts anew after it was killed in the middle, over what that has left", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase("synapse");
        const scratch = scratchOf(run, name);
        const child = spawn(
            process.execPath,
            ["--import", "tsx", fileURLToPath(import.meta.resolve("./safeguardProcess.ts"))],
            { stdio: ["pipe", "ignore", "inherit"], env: { ...process.env, NODE_V8_COVERAGE: "" } },
        );
        const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
        child.stdin.end(JSON.stringify(specOf(run, name)));
        await untilTrue(async () => (await cluster.databases()).includes(scratch) && (await tablesIn(scratch)) > 50);
        child.kill("SIGKILL");
        expect(await ended).to.equal("SIGKILL");
        expect(await readdir(join(run.directory, "safeguard"))).to.deep.equal(["dump.partial"]);
        await writeFile(join(run.directory, "safeguard", "dump.partial", "99999.dat"), "half");
        const { manifest } = await copied(run, name);
        expect(manifest.files.some(({ path }) => path === "99999.dat")).to.equal(false);
        expect(await cluster.databases()).to.not.include(scratch);
        expect(await readdir(join(run.directory, "safeguard"))).to.have.members(["dump", "manifest.json"]);
    });

    it("is taken back after a kill: partial copy and scratch database are gone", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase();
        const scratch = await cluster.createDatabase("empty", scratchOf(run, name));
        await mark(scratch, run.id, "restoring");
        await cluster.query(scratch, "CREATE TABLE half (a int)");
        await mkdir(join(run.directory, "safeguard", "dump.partial"), { recursive: true });
        await safeguard.undo?.(specOf(run, name), run);
        expect(await cluster.databases()).to.not.include(scratch);
        expect(await readdir(run.directory)).to.deep.equal([]);
    });

    it("never drops a database with the scratch's name that is somebody's", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase();
        await cluster.query(name, "CREATE TABLE t (a int)", "synapse");
        const theirs = await cluster.createDatabase("empty", scratchOf(run, name));
        await cluster.query(theirs, "CREATE TABLE precious (a int)");
        await expectError("SM-E0804", () => safeguard.act(specOf(run, name), run));
        expect(await cluster.databases()).to.include(theirs);
    });

    it("names who is connected, and makes nothing", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase();
        await cluster.query(name, "CREATE TABLE t (a int)", "synapse");
        await withClient(cluster.address(name), { step: "someone" }, async (client) => {
            const error = await expectError("SM-E0709", () => safeguard.act(specOf(run, name), run));
            expect(error.detail.found).to.match(/^pid \d+, application "synapse-migration someone", role synapse/);
            expect((await client.query("SELECT 1")).rowCount).to.equal(1);
        });
        expect(await readdir(run.directory)).to.deep.equal([]);
        const joined = beforePart(run, "comparing", async () => {
            late = withClient(cluster.address(name), { step: "late" }, () => released);
            await untilTrue(async () => (await sessionsOf(name)) > 0);
        });
        let late: Promise<unknown> = Promise.resolve();
        let release: (value?: unknown) => void = () => undefined;
        const released = new Promise((resolve) => (release = resolve));
        try {
            await expectError("SM-E0709", () => safeguard.act(specOf(run, name), joined));
        } finally {
            release();
            await late;
        }
        expect(await readdir(join(run.directory, "safeguard"))).to.deep.equal(["dump.partial"]);
    });

    it("still refuses what a run has marked, a committed target, and names of PostgreSQL's own", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase();
        await cluster.query(name, "CREATE TABLE t (a int)");
        await mark(name, "other", "swapped");
        const error = await expectError("SM-E0804", () => safeguard.act(specOf(run, name), run));
        expect(error.detail.found).to.equal("table public.t; the marker of run other, state swapped");
        await cluster.query(name, "UPDATE synapse_migration.marker SET state = 'committed'");
        await expectError("SM-E0707", () => safeguard.act(specOf(run, name), run));
        await expectError("SM-E0805", () => safeguard.act(specOf(run, "template1"), run));
        expect(await readdir(run.directory)).to.deep.equal([]);
    });

    it("still passes where there is nothing to copy", async () => {
        const run = await newRun(cluster);
        expect(await safeguard.act(specOf(run, cluster.newName("none")), run)).to.deep.equal({ previous: "absent" });
        const name = await cluster.createDatabase();
        expect(await safeguard.act(specOf(run, name), run)).to.deep.equal({ previous: "empty" });
        expect(await readdir(run.directory)).to.deep.equal([]);
    });

    it("refuses what its role cannot read all of", async () => {
        const run = await newRun(cluster);
        const name = await cluster.createDatabase();
        await cluster.query(name, "CREATE TABLE hidden (a int)");
        const message = await safeguard.act(specOf(run, name), run).then(
            () => expect.fail("it was copied"),
            (error: unknown) => String(error),
        );
        expect(message).to.match(/permission denied for table hidden/);
        expect(await cluster.databases()).to.not.include(scratchOf(run, name));
    });

    it("looks for room before it copies, also on the server's own file system where it can see that", async () => {
        const run = await newRun(cluster);
        const need = { host: "127.0.0.1", bytes: 2 ** 60, runDirectory: run.directory };
        const look = (user: string, bytes: number) =>
            withClient(cluster.address("postgres", user), { step: "test" }, (client) =>
                refuseLackingSpace(client, { ...need, bytes }, run.progress),
            );
        const error = await expectError("SM-E1201", () => look("postgres", need.bytes));
        expect(error.detail.found).to.include(join(cluster.directory, "data")).and.include(run.directory);
        expect((await expectError("SM-E1201", () => look("migrator", need.bytes))).detail.found).to.not.include("data");
        await look("postgres", 1024);
        expect(run.said.filter((line) => line.includes("cannot be seen"))).to.have.length(1);
    });

    it("brings the old database back with all rows when the swap is rolled back, and keeps the copy until then", async () => {
        const made = await makeDump(cluster);
        const { run, ...dump } = await copyDump(cluster, made);
        const name = await cluster.createDatabase("synapse", cluster.newName("used"));
        await cluster.query(name, "INSERT INTO users (name) VALUES ('@only-here:rehearsal.test')");
        await cluster.query("postgres", `ALTER DATABASE ${name} SET work_mem = '5MB'`);
        const before = await rowsOf(name);
        const { manifestFile, digest } = await copied(run, name);
        const restoring = { ...restoreSpec(cluster, { ...dump, run }, name), safeguard: "copied" };
        const { incoming } = await restore.act(restoring, run);
        await cluster.query(incoming, "UPDATE synapse_migration.marker SET state = 'verified'");
        const swapping = {
            run: restoring.run,
            database: restoring.database,
            incoming,
            proof: "0".repeat(64),
            copy: { manifestFile, digest },
        };
        const { previous } = await swap.act(swapping, run);
        expect(previous).to.equal(`${name}_pre_${run.id}`);
        expect(await rowsOf(previous ?? "")).to.deep.equal(before);
        expect(await rowsOf(name)).to.not.deep.equal(before);
        await expectError("SM-E0708", () => safeguard.act(specOf(run, name), run));
        await safeguard.undo?.(specOf(run, name), run);
        expect(run.said.at(-1)).to.match(/stays: database .* is still put aside/);
        await readManifest(manifestFile, digest);

        await swap.undo?.(swapping, run);
        await restore.undo?.(restoring, run);
        await safeguard.undo?.(specOf(run, name), run);
        expect(await rowsOf(name)).to.deep.equal(before);
        expect(await cluster.query(name, "SHOW work_mem", "synapse")).to.deep.equal([{ work_mem: "5MB" }]);
        expect((await cluster.databases()).filter((other) => other.startsWith(`${name}_`))).to.deep.equal([]);
        expect(await readdir(run.directory)).to.not.include("safeguard");
        await rm(run.directory, { recursive: true });
    });

    async function sessionsOf(name: string): Promise<number> {
        const [row] = await cluster.query(
            "postgres",
            `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = '${name}' AND application_name LIKE '%late'`,
        );
        return Number(row?.["n"]);
    }
    async function tablesIn(name: string): Promise<number> {
        const rows = await cluster.query(
            name,
            "SELECT count(*)::int AS n FROM pg_class WHERE relkind = 'r' AND oid >= 16384",
        );
        return Number(rows[0]?.["n"]);
    }
});
