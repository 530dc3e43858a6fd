import { expect } from "chai";
import { access, chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { z } from "zod";
import type { databaseContract } from "../../../contract/index.ts";
import { database } from "../../../steps/stage/database.ts";
import { withClient, type DatabaseAddress } from "../../../engine/postgres/connection.ts";
import { isClusterRunning, stopCluster } from "../../../engine/postgres/server/managedCluster.ts";
import { createMarker, readMarker } from "../../../engine/postgres/databases/marker.ts";
import { adminAddress, ownerAddress } from "../../../engine/postgres/databases/targetAddress.ts";
import { serviceUser } from "../../../engine/machines/serviceUser.ts";
import { expectError } from "../../support/expectError.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { newRun } from "../../support/migrationDump.ts";
import type { TestRun } from "../../support/stepRun.ts";

type Spec = z.infer<typeof databaseContract.spec>;

describe("the step database", function () {
    this.timeout(60_000);
    let cluster: TestCluster;
    let sourceName: string;
    before(async () => {
        cluster = await testCluster();
        sourceName = await cluster.createDatabase();
    });

    const sql = (address: DatabaseAddress, text: string) =>
        withClient(address, { step: "test" }, async (client) => {
            await client.query("SET search_path = public");
            return (await client.query<Record<string, unknown>>(text)).rows;
        });

    describe("on a server of our own", () => {
        let directory: string;
        let run: TestRun;
        const specOf = async (used: TestRun, more: Partial<Spec["run"]> = {}): Promise<Spec> => ({
            run: { id: used.id, directory: used.directory, ...more },
            source: await cluster.source(sourceName),
            name: "synapse",
            owner: "synapse_user",
            server: { kind: "managed", directory: join(directory, "postgresql"), port: 0, programs: cluster.programs },
        });
        const managed = () => ({ directory: join(directory, "postgresql"), port: 0, programs: cluster.programs });

        beforeEach(async () => {
            directory = await mkdtemp(join(tmpdir(), "synapse-migration-managed-"));
            await chmod(directory, 0o755);
            run = await newRun(cluster);
        });
        afterEach(async () => {
            await stopCluster(managed());
            await rm(directory, { recursive: true, force: true });
        });

        it("refuses with SM-E0843 what the role has been set to since, and goes on once it is reset", async () => {
            const spec = await specOf(run);
            const { database: target } = await database.act(spec, run);
            const admin = await adminAddress(target);
            await sql(admin, "ALTER ROLE synapse_user SET default_transaction_read_only = on");
            const { detail } = await expectError("SM-E0843", () => database.act(spec, run));
            expect(detail.found).to.equal("role synapse_user in all databases: default_transaction_read_only = on");
            await sql(admin, "ALTER ROLE synapse_user RESET default_transaction_read_only");
            await database.act(spec, run);
        });

        it("starts a server on loopback with an empty database that Synapse's role owns, and finds it again", async () => {
            const spec = await specOf(run);
            const result = await database.act(spec, run);
            const target = result.database;
            expect(result).to.include({ managed: true });
            expect(target).to.include({
                host: "127.0.0.1",
                name: "synapse",
                owner: "synapse_user",
                clientDirectory: cluster.programs,
            });
            const owner = await ownerAddress(target, "synapse");
            const [facts] = await sql(
                owner,
                `SELECT pg_encoding_to_char(encoding) AS encoding, datcollate, datctype, pg_get_userbyid(datdba) AS owner,
                    current_setting('listen_addresses') AS listens, rolsuper, rolcreatedb, rolcreaterole
                FROM pg_database, pg_roles WHERE datname = 'synapse' AND rolname = 'synapse_user'`,
            );
            expect(facts).to.deep.equal({
                ...{ encoding: "UTF8", datcollate: "C", datctype: "C", owner: "synapse_user", listens: "127.0.0.1" },
                ...{ rolsuper: false, rolcreatedb: false, rolcreaterole: false },
            });
            for (const file of [target.ownerPasswordFile, target.adminPasswordFile])
                expect((await stat(file ?? "")).mode & 0o777).to.equal(0o600);
            const user = serviceUser();
            if (user !== undefined) expect((await stat(join(managed().directory, "data"))).uid).to.equal(user.uid);
            expect((await withClient(owner, { step: "test" }, readMarker))?.state).to.equal("staged");

            expect(await database.act(spec, run)).to.deep.equal(result);
            await stopCluster(managed());
            expect(await isClusterRunning(managed().directory)).to.equal(false);
            expect(await database.act(spec, run)).to.deep.equal(result);

            const newer = await newRun(cluster);
            expect((await database.act(await specOf(newer), newer)).database).to.deep.equal(target);
            await database.undo?.(spec, run);
            expect(run.said.at(-1)).to.equal(`[test] the server belongs to run ${newer.id} now: it stays`);
            expect(await isClusterRunning(managed().directory)).to.equal(true);

            expect(
                await sql(owner, "UPDATE synapse_migration.marker SET state = 'committed'").catch(String),
            ).to.contain("permission denied");
            await sql(await adminAddress(target, "synapse"), "UPDATE synapse_migration.marker SET state = 'committed'");
            await expectError("SM-E0707", async () => database.act(await specOf(newer), newer));
            await sql(owner, "CREATE TABLE users (a int)");
            await database.undo?.(await specOf(newer), newer);
            expect(newer.said.at(-1)).to.match(
                /the server stays: database synapse has the marker of run .* state committed/,
            );
            expect(await isClusterRunning(managed().directory)).to.equal(true);

            await sql(await adminAddress(target, "postgres"), "CREATE DATABASE of_others");
            await sql(await adminAddress(target, "of_others"), "CREATE TABLE precious (a int)");
            await database.undo?.(await specOf(newer, { disposable: true }), newer);
            expect(newer.said.at(-1)).to.equal("[test] the server stays: database of_others has table public.precious");
            await sql(await adminAddress(target, "postgres"), "DROP DATABASE of_others");

            await database.undo?.(await specOf(newer, { disposable: true }), newer);
            expect(await readdir(directory)).to.deep.equal([]);
            await database.undo?.(await specOf(newer), newer);
        });

        it("makes a cluster anew whose making was cut, and takes the port that it is given", async () => {
            const spec = await specOf(run);
            await database.act(spec, run);
            await stopCluster(managed());
            const record = join(managed().directory, "synapse-migration.json");
            await writeFile(record, (await readFile(record, "utf8")).replace("true", "false"));
            await rm(join(managed().directory, "data", "global"), { recursive: true });
            const result = await database.act(spec, run);
            expect(await sql(await ownerAddress(result.database, "synapse"), "SELECT 1 AS one")).to.deep.equal([
                { one: 1 },
            ]);
            await database.undo?.(spec, run);
            await access(managed().directory).then(
                () => expect.fail("it is still there"),
                () => undefined,
            );
        });

        it("touches no directory that holds anything of others", async () => {
            await mkdir(managed().directory);
            await writeFile(join(managed().directory, "letter"), "dear");
            const error = await expectError("SM-E1105", async () => database.act(await specOf(run), run));
            expect(error.detail.found).to.match(/^letter, and no record/);
            await database.undo?.(await specOf(run), run);
            expect(await readdir(managed().directory)).to.deep.equal(["letter"]);
        });

        it("says which directory keeps the server's user out", async function () {
            if (serviceUser() === undefined) return void expect(process.getuid?.()).to.not.equal(0);
            await mkdir(join(directory, "closed"), { mode: 0o700 });
            const spec = await specOf(run);
            const server = {
                ...managed(),
                kind: "managed",
                directory: join(directory, "closed/target/postgres"),
            } as const;
            const error = await expectError("SM-E1206", () => database.act({ ...spec, server }, run));
            expect(error.detail).to.include({ where: join(directory, "closed") });
            expect(await readdir(join(directory, "closed"))).to.deep.equal([]);
        });
    });

    describe("on a server that is there already", () => {
        const specOf = async (run: TestRun, more: Partial<Spec> = {}): Promise<Spec> => ({
            run: { id: run.id, directory: run.directory },
            source: await cluster.source(sourceName),
            name: cluster.newName("existing"),
            owner: cluster.newName("role"),
            server: {
                ...{ kind: "existing", host: "127.0.0.1", port: cluster.port, admin: "migrator" },
                ...{
                    adminPasswordFile: cluster.passwordFile,
                    programs: cluster.programs,
                    directory: join(run.directory, "secrets"),
                },
            },
            ...more,
        });

        it("makes role and database as an administrator who is not a superuser, and takes both back", async () => {
            const run = await newRun(cluster);
            const spec = await specOf(run);
            const { database: target, managed } = await database.act(spec, run);
            expect(managed).to.equal(false);
            expect(await sql(await ownerAddress(target, spec.name), "SELECT current_user AS role")).to.deep.equal([
                { role: spec.owner },
            ]);
            await database.act(spec, run);
            await database.undo?.(spec, run);
            expect(await cluster.databases()).to.not.include(spec.name);
            expect(
                await cluster.query("postgres", `SELECT 1 FROM pg_roles WHERE rolname = '${spec.owner}'`),
            ).to.deep.equal([]);
            await database.undo?.(spec, run);
        });

        it("leaves a database and a role in place that are in use or were there before", async () => {
            const run = await newRun(cluster);
            const spec = await specOf(run);
            const { database: target } = await database.act(spec, run);
            await sql(await ownerAddress(target, spec.name), "CREATE TABLE users (a int)");
            await database.undo?.(spec, run);
            expect(run.said.slice(-2)).to.deep.equal([
                `[test] database ${spec.name} is not an empty one of this run: it stays`,
                `[test] role ${spec.owner} owns something: it stays`,
            ]);
            const other = await newRun(cluster);
            const theirs = await cluster.createDatabase();
            const secrets = join(other.directory, "secrets");
            await mkdir(secrets, { mode: 0o700 });
            await writeFile(join(secrets, "owner-password"), await readFile(cluster.passwordFile), { mode: 0o600 });
            const used = await specOf(other, { name: theirs, owner: "synapse" });
            await database.act(used, other);
            await database.undo?.(used, other);
            expect(await cluster.databases()).to.include(theirs);
            expect(
                await cluster.query("postgres", "SELECT 1 AS one FROM pg_roles WHERE rolname = 'synapse'"),
            ).to.deep.equal([{ one: 1 }]);
        });

        it("never gives a new password to a role that is there already", async () => {
            const run = await newRun(cluster);
            const spec = await specOf(run, { owner: "synapse" });
            await expectError("SM-E0509", () => database.act(spec, run));
            await writeFile(join(run.directory, "secrets", "owner-password"), "wrong password", { mode: 0o600 });
            await expectError("SM-E1004", () => database.act(spec, run));
            expect(await cluster.databases()).to.not.include(spec.name);
        });

        it("refuses the source's own database, an occupied one, and PostgreSQL's own", async () => {
            const run = await newRun(cluster);
            await expectError("SM-E0803", async () => database.act(await specOf(run, { name: sourceName }), run));
            const occupied = await cluster.createDatabase();
            await cluster.query(occupied, "CREATE TABLE t (a int)");
            await expectError("SM-E0804", async () => database.act(await specOf(run, { name: occupied }), run));
            await expectError("SM-E0805", async () => database.act(await specOf(run, { name: "template1" }), run));
        });

        it("takes one that holds data where it may be replaced, and leaves it as it is", async () => {
            const run = await newRun(cluster);
            const occupied = await cluster.createDatabase();
            await cluster.query(occupied, "CREATE TABLE t (a int)");
            const spec = await specOf(run, { name: occupied, replace: true });
            expect((await database.act(spec, run)).database.name).to.equal(occupied);
            expect(await withClient(cluster.superuserAddress(occupied), { step: "test" }, readMarker)).to.equal(
                undefined,
            );
            await database.undo?.(spec, run);
            expect(await cluster.databases()).to.include(occupied);
            const error = await expectError("SM-E0804", () => database.act({ ...spec, replace: false }, run));
            expect(error.detail.found).to.equal("table public.t");
            expect(error.detail.fix).to.include("target.database.replace: true");
        });

        it("never replaces the source's own database, a committed one, or PostgreSQL's own", async () => {
            const run = await newRun(cluster);
            const replace = { replace: true };
            const source = await cluster.createDatabase();
            await cluster.query(source, "CREATE TABLE t (a int)");
            const own = { ...replace, source: await cluster.source(source), name: source };
            await expectError("SM-E0803", async () => database.act(await specOf(run, own), run));
            const committed = await cluster.createDatabase();
            await cluster.query(committed, "CREATE TABLE t (a int)", "synapse");
            await withClient(cluster.address(committed), { step: "test" }, (client) =>
                createMarker(client, "other", "rehearsal.test", "committed"),
            );
            await expectError("SM-E0707", async () =>
                database.act(await specOf(run, { ...replace, name: committed }), run),
            );
            for (const name of ["template1", "x".repeat(53)])
                await expectError("SM-E0805", async () => database.act(await specOf(run, { ...replace, name }), run));
        });

        it("says who was refused, and what does not answer", async () => {
            const run = await newRun(cluster);
            const spec = await specOf(run);
            const wrong = join(run.directory, "wrong");
            await writeFile(wrong, "not the password", { mode: 0o600 });
            const error = await expectError("SM-E1004", () =>
                database.act({ ...spec, server: { ...spec.server, adminPasswordFile: wrong } as Spec["server"] }, run),
            );
            expect(error.detail.found).to.match(/role "migrator": password authentication failed/);
            expect(error.block).to.not.include("not the password");
            await chmod(wrong, 0o644);
            await expectError("SM-E1003", () =>
                database.act({ ...spec, server: { ...spec.server, adminPasswordFile: wrong } as Spec["server"] }, run),
            );
            await expectError("SM-E0516", () =>
                withClient(cluster.address("no_such_database"), { step: "test" }, () => Promise.resolve()),
            );
            await expectError("SM-E1102", () =>
                withClient({ ...cluster.address("postgres"), port: 1 }, { step: "test" }, () => Promise.resolve()),
            );
        });
    });
});
