/** Databases of older and newer Synapses, and what the port refuses. */
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { comparePorted } from "../../../engine/sqlite/compare.ts";
import { copySqliteDatabase, type SqliteCopy } from "../../../engine/sqlite/privateCopy.ts";
import { portSqliteDatabase } from "../../../engine/sqlite/port.ts";
import { repairPorted } from "../../../engine/sqlite/repair.ts";
import { upgradeSqliteCopy, type UpgradedCopy } from "../../../engine/sqlite/upgradeSchema.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { inSqlite, serverName, synapsePython } from "./sqliteSource.ts";
import { makeDatabase, userRow } from "./synapseSchema.ts";

describe("a homeserver.db of another age", function () {
    this.timeout(180_000);
    let python: string;
    let directory: string;
    let cluster: TestCluster;
    let database: string;
    let destination: string;

    before(async () => {
        [python, cluster] = [await synapsePython(), await testCluster()];
    });
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-sqlite-"));
        [database, destination] = [join(directory, "homeserver.db"), join(directory, "copy.db")];
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const copy = (): Promise<SqliteCopy> => copySqliteDatabase({ database, destination, python });
    const upgrade = async (found: SqliteCopy): Promise<UpgradedCopy> =>
        upgradeSqliteCopy({ database: destination, serverName, found, python });
    const port = (target: string, file = destination): Promise<unknown> =>
        portSqliteDatabase({ database: file, serverName, target: cluster.address(target), python, batchRows: 100 });

    it("is brought up to date in the copy by Synapse's own script, and then ported", async () => {
        await makeDatabase(database, [userRow], 88);
        const original = await readFile(database);
        const upgraded = await upgrade(await copy());
        expect(upgraded).to.include({ fromSchema: 88, toSchema: 94 });
        expect(upgraded.finishedUpdates.length).to.be.above(10);
        expect(upgraded.checked?.pendingBackgroundUpdates).to.deep.equal([]);
        expect((await readFile(database)).equals(original)).to.equal(true);
        const target = await cluster.createDatabase();
        await port(target);
        await repairPorted(cluster.address(target));
        const { checks, tables } = await comparePorted({
            database: destination,
            target: cluster.address(target),
            python,
        });
        expect(checks.filter(({ state }) => state !== "passed")).to.deep.equal([]);
        expect(tables.find(({ name }) => name === "users")).to.include({ sqliteRows: 1, postgresRows: 1 });
        expect((await readdir(directory)).filter((name) => name.endsWith(".yaml"))).to.deep.equal([]);
    });

    it("is refused when it is newer than the target's Synapse", async () => {
        await makeDatabase(database, [userRow]);
        await inSqlite(python, database, "UPDATE schema_version SET version = 999");
        const { detail } = await expectError("SM-E0506", async () => upgrade(await copy()));
        expect(detail.found).to.match(/schema 999;.*schema 94/);
    });

    it("is refused when Synapse's script fails, or leaves something undone", async () => {
        await makeDatabase(database, [userRow], 88);
        const found = await copy();
        await inSqlite(python, destination, "DROP TABLE profiles");
        const { detail } = await expectError("SM-E0975", () => upgrade(found));
        expect(detail.changed).to.equal("only the copy in the run directory");
    });

    it("is refused by the port with Synapse's own words while background updates are unfinished", async () => {
        await makeDatabase(database, [userRow], 88);
        await copy();
        const target = await cluster.createDatabase();
        const { detail } = await expectError("SM-E0976", () => port(target));
        expect(detail.found).to.match(/^Pending background updates exist/);
    });

    it("is refused by the port where PostgreSQL refuses a row, without showing the row", async () => {
        await makeDatabase(database, [
            userRow,
            "INSERT INTO profiles (user_id, full_user_id, fields) VALUES ('a', '@a:x', 'private')",
        ]);
        await upgrade(await copy());
        const target = await cluster.createDatabase();
        const { detail } = await expectError("SM-E0976", () => port(target));
        expect(detail.found).to.match(
            /^inserting into profiles: InvalidTextRepresentation: invalid input syntax for type json$/,
        );
    });

    it("is not equal after the port where bytes in a text column became their escapes", async () => {
        await makeDatabase(database, [userRow, "INSERT INTO blocked_rooms VALUES (CAST('!röom' AS BLOB), '@a:x')"]);
        await upgrade(await copy());
        const target = await cluster.createDatabase();
        await port(target);
        const { checks } = await comparePorted({ database: destination, target: cluster.address(target), python });
        expect(checks.find(({ id }) => id === "sqlite-rows-blocked_rooms")?.state).to.equal("failed");
    });

    it("is refused by the port when the target is not empty, or the copy is not there", async () => {
        const target = await cluster.createDatabase();
        const { detail } = await expectError("SM-E0976", () => port(target, join(directory, "nothing.db")));
        expect(detail.found).to.match(/exit code 1/);
        await cluster.query(target, "CREATE TABLE public.left_over (x int)");
        await writeFile(destination, "");
        expect((await expectError("SM-E0804", () => port(target))).detail.found).to.include("public.left_over");
    });
});
