import { expect } from "chai";
import { access, mkdir, readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { dump } from "../../../steps/migrate/dump.ts";
import type { SelfHostedSource } from "../../../contract/index.ts";
import { readManifest } from "../../../engine/postgres/compare/dumpManifest.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { testRun, type TestRun } from "../../support/stepRun.ts";

const token = "a".repeat(64);

describe("the step dump", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let name: string;
    let source: SelfHostedSource;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        name = await cluster.createDatabase("synapse", cluster.newName("source"));
        source = await cluster.source(name);
    });

    const newRun = async (): Promise<TestRun> => {
        const directory = join(cluster.directory, cluster.newName("run"));
        await mkdir(directory, { mode: 0o700 });
        return testRun("run1", directory);
    };
    const specOf = (run: TestRun, from: SelfHostedSource = source) => ({
        run: { id: run.id, directory: run.directory },
        source: from,
        fenceToken: token,
        jobs: 2,
        clientDirectory: cluster.programs,
    });

    it("writes an archive and a manifest that names every file, table, sequence and definition", async () => {
        const run = await newRun();
        const result = await dump.act(specOf(run), run);
        const manifest = await readManifest(result.manifestFile, result.manifestDigest);
        expect(manifest.serverName).to.equal(testServerName);
        expect(manifest.fenced).to.equal(true);
        expect(manifest.tables.map(({ name }) => name)).to.include.members([
            "users",
            "events",
            "e2e_one_time_keys_json",
        ]);
        const users = manifest.tables.find(({ name }) => name === "users");
        expect(users?.rows).to.be.greaterThan(2);
        expect(users?.hash).to.match(/^-?\d{3,}$/);
        expect(manifest.sequences.length).to.be.greaterThan(20);
        expect(new Set(manifest.definitions.map(({ kind }) => kind))).to.include.all.keys(
            ...[
                "table",
                "column",
                "index",
                "constraint",
                "trigger",
                "function",
                "sequence",
                "comment",
                "extension",
                "schema",
            ],
        );
        expect(manifest.files.map(({ path }) => path)).to.deep.equal((await readdir(result.directory)).sort());
        expect(result.tables).to.equal(manifest.tables.length);
        expect((await stat(result.manifestFile)).mode & 0o777).to.equal(0o600);
        expect(await readdir(run.directory)).to.have.members(["dump", "dump-manifest.json"]);
        await dump.undo?.(specOf(run), run);
        expect(await readdir(run.directory)).to.deep.equal([]);
    });

    it("starts again over what a killed attempt has left", async () => {
        const run = await newRun();
        await mkdir(join(run.directory, "dump.partial"));
        await writeFile(join(run.directory, "dump.partial", "1.dat"), "half");
        await mkdir(join(run.directory, "dump"));
        const result = await dump.act(specOf(run), run);
        expect(
            (await readManifest(result.manifestFile, result.manifestDigest)).files.some(({ path }) => path === "1.dat"),
        ).to.equal(false);
    });

    it("takes the sequences of the archive, so that a rehearsal may dump a source that runs", async () => {
        const run = await newRun();
        const result = await dump.act({ ...specOf(run), fenceToken: undefined }, run);
        expect((await readManifest(result.manifestFile, result.manifestDigest)).fenced).to.equal(false);
    });

    it("refuses a database of another encoding, with the statement that makes a right one", async () => {
        const other = cluster.newName("encoded");
        await cluster.query(
            "postgres",
            `CREATE DATABASE ${other} OWNER synapse TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'`,
        );
        const run = await newRun();
        const error = await expectError("SM-E0501", async () =>
            dump.act(specOf(run, await cluster.source(other)), run),
        );
        expect(error.detail.fix).to.include(
            `CREATE DATABASE "${other}_utf8_c" OWNER "synapse" TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C'`,
        );
        expect(await readdir(run.directory)).to.deep.equal([]);
    });

    it("refuses a pg_dump that is older than the server", async () => {
        const run = await newRun();
        const clientDirectory = join(cluster.directory, "old-programs");
        await mkdir(clientDirectory);
        await writeFile(join(clientDirectory, "pg_dump"), "#!/bin/sh\necho 'pg_dump (PostgreSQL) 13.22'\n", {
            mode: 0o755,
        });
        const error = await expectError("SM-E0504", () => dump.act({ ...specOf(run), clientDirectory }, run));
        expect(error.detail.found).to.equal("version 13.22");
    });

    it("refuses a database that is not Synapse's", async () => {
        const run = await newRun();
        const other = await cluster.createDatabase("empty");
        await expectError("SM-E0508", async () => dump.act(specOf(run, await cluster.source(other)), run));
    });

    it("leaves neither an archive nor a password behind when pg_dump fails, and says nothing of rows", async () => {
        const run = await newRun();
        const other = await cluster.createDatabase("synapse");
        // Synapse's role may not read it: pg_dump and the hashing both fail.
        await cluster.query(other, "ALTER TABLE users OWNER TO postgres");
        const spec = specOf(run, await cluster.source(other));
        const error = await dump.act(spec, run).then(
            () => expect.fail("it ended well"),
            (cause: unknown) => String(cause),
        );
        expect(error).to.match(/permission denied for table users/);
        expect((await readdir(run.directory)).filter((file) => file.startsWith("pgpass"))).to.deep.equal([]);
        await access(join(run.directory, "dump")).then(
            () => expect.fail("there is a dump"),
            () => undefined,
        );
        await dump.undo?.(spec, run);
    });

    it("tells its error only when pg_dump has ended, whose password would outlive it", async () => {
        const run = await newRun();
        const other = await cluster.createDatabase("synapse");
        // The hashing fails at once.
        await cluster.query(other, "ALTER TABLE users OWNER TO postgres");
        const clientDirectory = join(cluster.directory, "lingering-programs");
        await mkdir(clientDirectory);
        const lingering = [
            "#!/bin/bash",
            `[ "$1" = --version ] && exec ${join(cluster.programs, "pg_dump")} --version`,
            "trap 'sleep 1; kill $!; exit 1' TERM",
            "sleep 30 >/dev/null 2>&1 & wait",
        ];
        await writeFile(join(clientDirectory, "pg_dump"), `${lingering.join("\n")}\n`, { mode: 0o755 });
        const spec = { ...specOf(run, await cluster.source(other)), clientDirectory };
        const error = await dump.act(spec, run).catch(String);
        expect(error).to.match(/permission denied for table users/);
        expect((await readdir(run.directory)).filter((file) => file.startsWith("pgpass"))).to.deep.equal([]);
    });

    it("stops when it is told to", async () => {
        const controller = new AbortController();
        const directory = join(cluster.directory, cluster.newName("run"));
        await mkdir(directory, { mode: 0o700 });
        const run = testRun("run1", directory, controller.signal);
        setTimeout(() => controller.abort(new Error("told to stop")), 150);
        const ended = await dump.act(specOf(run), run).then(
            () => "well",
            (error: unknown) => String(error),
        );
        expect(ended).to.match(/stop/);
    });

    it("refuses to call a manifest good that was changed", async () => {
        const run = await newRun();
        const { manifestFile, manifestDigest } = await dump.act(specOf(run), run);
        await expectError("SM-E0911", () => readManifest(manifestFile, "0".repeat(64)));
        const text = await readFile(manifestFile, "utf8");
        await writeFile(manifestFile, text.replace(/"rows": \d+/, '"rows": 999999'));
        await expectError("SM-E0911", () => readManifest(manifestFile, manifestDigest));
        await writeFile(manifestFile, text.slice(0, 2000));
        await expectError("SM-E0911", () => readManifest(manifestFile, manifestDigest));
        await expectError("SM-E0911", () => readManifest(join(run.directory, "absent.json"), manifestDigest));
    });
});
