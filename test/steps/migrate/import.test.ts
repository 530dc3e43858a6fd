import { expect } from "chai";
import { spawn } from "node:child_process";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readInputEvidence } from "../../../engine/bundle/input/inputEvidence.ts";
import { importContract, type BundleSource } from "../../../contract/index.ts";
import { importDump } from "../../../steps/migrate/import.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { readImportManifest } from "../../../engine/postgres/compare/importManifest.ts";
import { createMarker, readMarker, type MarkerState } from "../../../engine/postgres/databases/marker.ts";
import { MigrationErrors } from "../../../engine/run/errors.ts";
import { untilTrue } from "../../support/waiting.ts";
import { runDirectoryPaths } from "../../../engine/run/runDirectory.ts";
import type { ErrorCode } from "../../../engine/run/errorCatalogue.ts";
import {
    backupOf,
    compressed,
    dumpedVerifyKeys,
    edited,
    encrypted,
    importSpec,
    newDirectory,
    pgDump,
    plainDump,
} from "../../support/bundle.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { newRun } from "../../support/migrationDump.ts";

describe("the step import", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let sourceName: string;
    let dump: Buffer;
    let file: string;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
        sourceName = await cluster.createDatabase("synapse", cluster.newName("source"));
        await cluster.query(
            sourceName,
            `INSERT INTO e2e_one_time_keys_json (user_id, device_id, algorithm, key_id, ts_added_ms, key_json)
             VALUES ('@otk:rehearsal.test', 'D', 'signed_curve25519', 'k1', 1, '{}')`,
        );
        dump = await plainDump(cluster, sourceName);
        file = await fileOf("dump.sql", dump);
    });

    const fileOf = async (name: string, content: Buffer): Promise<string> => {
        const path = join(await newDirectory(cluster), name);
        await writeFile(path, content);
        return path;
    };
    const specOf = async (source: BundleSource = backupOf([file]), name = cluster.newName("target")) => {
        const run = await newRun(cluster);
        return { run, spec: await importSpec(cluster, run, source, name), incoming: `${name}_incoming_${run.id}` };
    };
    const markerOf = (name: string) => withClient(cluster.address(name), { step: "test" }, readMarker);
    const mark = (name: string, run: string, state: MarkerState) =>
        withClient(cluster.address(name), { step: "test" }, (client) =>
            createMarker(client, run, testServerName, state),
        );
    const keysIn = async (name: string) =>
        (await cluster.query(name, "SELECT count(*)::int AS n FROM e2e_one_time_keys_json"))[0]?.["n"];
    const roles = async () =>
        (await cluster.query("postgres", "SELECT rolname FROM pg_roles ORDER BY 1")).map(({ rolname }) => rolname);

    it("refuses another file than the assessment of the run has seen, before it makes anything", async () => {
        const path = await fileOf("dump.sql", dump);
        const { run, spec } = await specOf(backupOf([path]));
        await mkdir(runDirectoryPaths(run.directory).evidence, { recursive: true, mode: 0o700 });
        const evidence = join(runDirectoryPaths(run.directory).evidence, "assess.json");
        await writeFile(evidence, JSON.stringify({ findings: [], inputs: [await readInputEvidence(path)] }));
        const before = await cluster.databases();
        const other = Buffer.from(dump);
        other.writeUInt8(other.readUInt8(other.length - 9) ^ 1, other.length - 9);
        await writeFile(path, other);
        const sameSize = await expectError("SM-E0931", () => importDump.act(spec, run));
        expect(sameSize.detail.found).to.include("of the same size");
        await writeFile(path, `${dump.toString("latin1")}\n`, "latin1");
        const longer = await expectError("SM-E0931", () => importDump.act(spec, run));
        expect(longer.detail.found).to.include(`the assessment saw ${dump.length}`);
        expect(await cluster.databases()).to.deep.equal(before);
        await writeFile(path, dump);
        importContract.result.parse(await importDump.act(spec, run));
    });

    it("warns of a key of Synapse's schema that the dump has lost, with the statement that mends the source", async () => {
        const lost = /ALTER TABLE ONLY public\.access_tokens\s+ADD CONSTRAINT access_tokens_pkey PRIMARY KEY \(id\);/;
        const { run, spec } = await specOf(backupOf([await fileOf("lost.sql", edited(dump, lost, ""))]));
        importContract.result.parse(await importDump.act(spec, run));
        expect(JSON.stringify(run.evidences.at(-1))).to.contain("SM-W0862");
        expect(run.said.join("\n")).to.contain("SM-W0862");
    });

    it("loads an encrypted dump of another role's objects into a database of its own, as Synapse's role", async () => {
        const path = await fileOf("postgres-export.sql.gz.gpg", encrypted(compressed(dump), cluster.directory));
        const { run, spec, incoming } = await specOf(backupOf([path]));
        const before = { databases: await cluster.databases(), roles: await roles() };
        const result = importContract.result.parse(await importDump.act(spec, run));
        expect(result).to.deep.include({ incoming, oneTimeKeys: "emptied" });
        expect(result.lossWindowSeconds).to.be.greaterThan(0);
        expect((await markerOf(incoming))?.state).to.equal("restored");
        const owners = await cluster.query(
            incoming,
            "SELECT DISTINCT pg_get_userbyid(relowner) AS owner FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        );
        expect(owners).to.deep.equal([{ owner: "synapse" }]);
        expect(await keysIn(incoming)).to.equal(0);
        const manifest = await readImportManifest(result.manifestFile, result.manifestDigest);
        expect(manifest.input.layers).to.deep.equal(["gpg", "gzip"]);
        expect(manifest.input.files.map((found) => found.path)).to.deep.equal([path]);
        expect(manifest.tables.length).to.equal(result.tables);
        expect(run.evidences.at(-1)).to.deep.include({ owners: ["rdsadmin"] });
        expect(await roles()).to.deep.equal(before.roles);
        expect(await cluster.databases()).to.deep.equal([...before.databases, incoming].sort());

        await importDump.undo?.(spec, run);
        expect(await cluster.databases()).to.deep.equal(before.databases);
        await importDump.undo?.(spec, run);
    });

    it("sets sequences that the dump leaves as not called, says so, and has the manifest of the others from the dump's text", async () => {
        const left = await cluster.createDatabase("synapse", cluster.newName("source"));
        await cluster.query(
            left,
            `SELECT setval('device_inbox_sequence', 12, false); SELECT setval('events_stream_seq', last_value + 1, false) FROM events_stream_seq`,
        );
        const { run, spec, incoming } = await specOf(
            backupOf([await fileOf("dump.sql", await plainDump(cluster, left))]),
        );
        const { manifestFile, manifestDigest } = await importDump.act(spec, run);
        const [inbox] = await cluster.query(incoming, "SELECT last_value::int, is_called FROM device_inbox_sequence");
        expect(inbox).to.deep.equal({ last_value: 11, is_called: true });
        expect(run.said.join("\n")).to.contain("sequence public.device_inbox_sequence set from 12 (not called) to 11");
        const { sequences, declared = [] } = await readImportManifest(manifestFile, manifestDigest);
        const positions = (name: string) =>
            cluster.query(
                name,
                "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL ORDER BY 1",
            );
        const called = sequences
            .filter(({ isCalled }) => isCalled)
            .map(({ name, lastValue }) => ({ sequencename: name, last_value: lastValue }));
        expect(called.sort((a, b) => (a.sequencename < b.sequencename ? -1 : 1))).to.deep.equal(
            await positions(incoming),
        );
        expect(declared.filter(({ kind }) => kind === "index").length).to.be.greaterThan(100);
    });

    it("refuses a dump whose sequence is behind what it numbers", async () => {
        const behind = edited(
            dump,
            /setval\('public.events_stream_seq', \d+, true\)/,
            "setval('public.events_stream_seq', 2, false)",
        );
        const { run, spec } = await specOf(backupOf([await fileOf("dump.sql", behind)]));
        await expectError("SM-E0512", () => importDump.act(spec, run));
    });

    it("says that a dump leaves out the one-time keys", async () => {
        const path = join(await newDirectory(cluster), "dump");
        await pgDump(cluster, sourceName, ["-Fc", "--exclude-table-data=e2e_one_time_keys_json", "--file", path]);
        const { run, spec, incoming } = await specOf(backupOf([path], { stoppedBeforeExport: true }));
        await importDump.act(spec, run);
        expect(run.said.join("\n")).to.contain("SM-W0908");
        expect(await keysIn(incoming)).to.equal(0);
    });

    it("keeps the one-time keys of a stopped server, and accepts events signed with a key that is only among the old ones", async () => {
        const oldSigningKeys = Object.fromEntries(
            Object.entries(await dumpedVerifyKeys()).map(([id, key]) => [id, { key, expired_ts: 1 }]),
        );
        const { run, spec, incoming } = await specOf(backupOf([file], { oldSigningKeys, stoppedBeforeExport: true }));
        expect((await importDump.act({ ...spec, verifyKeys: otherKey }, run)).oneTimeKeys).to.equal("kept");
        expect(await keysIn(incoming)).to.equal(await keysIn(sourceName));
    });

    describe("refuses what it has loaded, and leaves it unmarked for undo to drop:", () => {
        it("events that none of the given keys has signed", async () => {
            const { run, spec, incoming } = await specOf();
            await expectError("SM-E0817", () => importDump.act({ ...spec, verifyKeys: otherKey }, run));
            expect((await markerOf(incoming))?.state).to.equal("restoring");
            await importDump.undo?.(spec, run);
            expect(await cluster.databases()).to.not.include(incoming);
        });

        it("users of another domain, and a schema that the target's Synapse is too old for, at once", async () => {
            const other = await cluster.createDatabase("synapse", cluster.newName("source"));
            await cluster.query(other, "INSERT INTO users (name) VALUES ('@eve:other.test')");
            await cluster.query(other, "UPDATE schema_compat_version SET compat_version = 9999");
            const { run, spec } = await specOf(backupOf([await fileOf("other.sql", await plainDump(cluster, other))]));
            const error: unknown = await importDump.act(spec, run).catch((failure: unknown) => failure);
            const errors = error instanceof MigrationErrors ? error.errors : [];
            expect(errors.map(({ code }) => code)).to.have.members(["SM-E0506", "SM-E0802"]);
            expect(errors.map(({ detail }) => detail.found).join("\n")).to.contain("@eve:other.test");
        });

        it("a file that was cut inside of a table", async () => {
            const cut = await fileOf("dump.sql", dump.subarray(0, dump.indexOf("COPY public.users ") + 120));
            const { run, spec, incoming } = await specOf(backupOf([cut]));
            await expectError("SM-E0901", () => importDump.act(spec, run));
            expect((await markerOf(incoming))?.state).to.equal("restoring");
            await importDump.undo?.(spec, run);
            expect(await cluster.databases()).to.not.include(incoming);
        });
    });

    describe("makes nothing when it refuses", () => {
        const refused = async (code: ErrorCode, source: BundleSource, change: object = {}, name?: string) => {
            const { run, spec } = await specOf(source, name);
            const before = await cluster.databases();
            const error = await expectError(code, () => importDump.act({ ...spec, ...change }, run));
            expect(await cluster.databases()).to.deep.equal(before);
            expect((await readdir(run.directory)).sort()).to.deep.equal([]);
            return { run, spec, error };
        };

        it("another passphrase", async () => {
            const path = await fileOf("dump.sql.gz.gpg", encrypted(compressed(dump), cluster.directory));
            await refused("SM-E0920", backupOf([path]), { passphrase: "wr0ng-passphrase" });
        });

        it("a database under the target's name that any run has committed", async () => {
            const name = await cluster.createDatabase("empty", cluster.newName("target"));
            await mark(name, "earlier", "committed");
            await refused("SM-E0707", backupOf([file]), {}, name);
        });

        it("to import again what was swapped in, and a database of another run, which its undo leaves alone", async () => {
            const { run, spec, incoming } = await specOf();
            const name = await cluster.createDatabase("empty", spec.database.name);
            await mark(name, run.id, "verified");
            await expectError("SM-E0708", () => importDump.act(spec, run));
            await cluster.query("postgres", `DROP DATABASE ${name}`);
            await cluster.createDatabase("empty", incoming);
            await mark(incoming, "other", "restored");
            await expectError("SM-E0708", () => importDump.act(spec, run));
            await importDump.undo?.(spec, run);
            expect(await cluster.databases()).to.include(incoming);
        });
    });

    it("refuses a file that is no dump, the dump of another database, and one of a newer server", async () => {
        const none = await specOf(backupOf([await fileOf("notes.txt", Buffer.from("dear diary\n"))]));
        await expectError("SM-E0917", () => importDump.act(none.spec, none.run));
        await importDump.undo?.(none.spec, none.run);
        expect(await cluster.databases()).to.not.include(none.incoming);
        const empty = await cluster.createDatabase();
        await cluster.query(empty, "CREATE TABLE notes (id int)");
        const notes = join(await newDirectory(cluster), "notes.sql");
        await pgDump(cluster, empty, ["--file", notes]);
        const one = await specOf(backupOf([notes]));
        await expectError("SM-E0909", () => importDump.act(one.spec, one.run));
        const newer = edited(dump, /^-- Dumped from database version .*$/m, "-- Dumped from database version 99.1");
        const two = await specOf(backupOf([await fileOf("newer.sql", newer)]));
        const error = await expectError("SM-E0503", () => importDump.act(two.spec, two.run));
        expect(error.detail.found).to.contain("99.1");
    });

    it("loads all of it again after it was killed in the middle", async () => {
        const { run, spec, incoming } = await specOf();
        const child = spawn(
            process.execPath,
            ["--import", "tsx", fileURLToPath(import.meta.resolve("../../support/importProcess.ts"))],
            { stdio: ["pipe", "ignore", "inherit"], env: { ...process.env, NODE_V8_COVERAGE: "" } },
        );
        const ended = new Promise((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
        child.stdin.end(JSON.stringify(spec));
        await untilTrue(async () => (await cluster.databases()).includes(incoming) && (await tablesIn(incoming)) > 50);
        child.kill("SIGKILL");
        expect(await ended).to.equal("SIGKILL");
        expect((await markerOf(incoming))?.state).to.equal("restoring");
        const { tables } = await importDump.act(spec, run);
        expect((await markerOf(incoming))?.state).to.equal("restored");
        expect(await tablesIn(incoming)).to.equal(tables + 1);
    });

    async function tablesIn(name: string): Promise<number> {
        const rows = await cluster.query(
            name,
            "SELECT count(*)::int AS n FROM pg_class WHERE relkind = 'r' AND oid >= 16384",
        );
        return Number(rows[0]?.["n"]);
    }
});

/** Of a key that has signed nothing. */
const otherKey = { "ed25519:a_other": "Noi6WqcDj0QmPxCNQqgezwTlBKrfqehY1u2FyWP9uYw" };
