/** Rows with NUL characters in texts: what is found of them, what can be mended, and what must not be. */
import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { checkSqlite } from "../../../engine/assess/sqliteCheck.ts";
import { fillFromSqlite } from "../../../engine/import/fillFromSqlite.ts";
import type { ImportSpec } from "../../../engine/import/filled.ts";
import { stripNul, type NulRows } from "../../../engine/sqlite/stripNul.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { testRun, type TestRun } from "../../support/stepRun.ts";
import { inSqlite, serverName, synapsePython } from "./sqliteSource.ts";
import { makeDatabase, userRow } from "./synapseSchema.ts";

const device = (id: string, name: string) =>
    `INSERT INTO devices (user_id, device_id, display_name) VALUES ('@a:${serverName}', ${id}, ${name})`;
const nul = "char(0)";

describe("texts with NUL in a homeserver.db", function () {
    this.timeout(180_000);
    let python: string;
    let directory: string;
    let database: string;

    before(async () => {
        python = await synapsePython();
    });
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-nul-"));
        database = join(directory, "homeserver.db");
        await makeDatabase(database, [
            userRow,
            device("'PHONE'", `'ph' || ${nul} || 'one' || ${nul}`),
            device("'LAPTOP'", "'laptop'"),
            `INSERT INTO profiles (user_id, full_user_id, displayname) VALUES ('a', '@a:${serverName}', ${nul} || 'Al')`,
            `INSERT INTO event_search (event_id, room_id, sender, key, value) VALUES ('$e', '!r', '@a', 'content.body', 'a' || ${nul} || 'b')`,
            // Made anew in PostgreSQL, and not ported.
            `INSERT INTO user_directory (user_id, display_name) VALUES ('@a', 'A' || ${nul})`,
            // Bytes are bytes.
            `INSERT INTO user_filters (user_id, filter_id, filter_json, full_user_id) VALUES ('a', 1, x'7b007d', '@a')`,
        ]);
    });
    afterEach(() => rm(directory, { recursive: true, force: true }));

    const sql = (...statements: string[]): Promise<void> => inSqlite(python, database, ...statements);
    const strip = (keep: boolean): Promise<NulRows> => stripNul(database, keep, { python });
    const assessed = (sqliteNul?: "strip") =>
        checkSqlite({ paths: [database], serverName, workDirectory: directory, sqliteNul, python });

    it("are found in every table that is ported, by table, key and column, and in nothing else", async () => {
        const { rows, collisions, dangling } = await strip(false);
        expect(rows.map(({ table, columns }) => [table, ...columns])).to.deep.equal([
            ["devices", "display_name"],
            ["event_search", "value"],
            ["profiles", "displayname"],
        ]);
        expect(rows[0]?.key).to.equal(`rowid 1, user_id "@a:${serverName}", device_id "PHONE"`);
        expect([collisions, dangling]).to.deep.equal([[], null]);
        // It was only a trial.
        expect((await strip(false)).rows).to.have.length(3);
    });

    it("keep their rows and lose their NUL, where that is kept", async () => {
        expect((await strip(true)).rows).to.have.length(3);
        expect((await strip(true)).rows).to.deep.equal([]);
        await sql(
            "CREATE TABLE looked AS SELECT count(*) AS n FROM devices WHERE CAST(display_name AS BLOB) IN (CAST('phone' AS BLOB), CAST('laptop' AS BLOB))",
            // Fails unless both are there.
            "CREATE TABLE both (n INTEGER CHECK (n = 2))",
            "INSERT INTO both SELECT n FROM looked",
        );
    });

    it("show no key that may be a secret", async () => {
        await sql(
            `INSERT INTO open_id_tokens (token, ts_valid_until_ms, user_id) VALUES ('hush-4e1b', 1, '@a' || ${nul})`,
            `INSERT INTO dehydrated_devices (user_id, device_id, device_data) VALUES ('@a', 'hush-77aa', 'x' || ${nul})`,
        );
        const { rows } = await strip(false);
        expect(rows.map(({ table }) => table)).to.include.members(["open_id_tokens", "dehydrated_devices"]);
        expect(JSON.stringify(rows)).not.to.contain("hush");
    });

    it("are refused where a row would get the key of another one, and nothing is changed then", async () => {
        await sql(device(`'LAPTOP' || ${nul}`, "'second'"), device(`'TV' || ${nul}`, "'tv'"));
        const found = await strip(true);
        expect(found.rows).to.have.length(5);
        expect(found.collisions.map(({ key }) => key)).to.deep.equal([
            `rowid 3, user_id "@a:${serverName}", device_id "LAPTOP\\u0000"`,
        ]);
        expect((await strip(false)).rows).to.have.length(5);
        expect((await assessed("strip")).map(({ id }) => id)).to.deep.equal(["SM-W0977", "SM-E0978"]);
    });

    it("block the assessment, by name, until they may be mended, and leave the file as it was", async () => {
        const before = await readFile(database);
        const [blocking, ...more] = await assessed();
        expect(more).to.deep.equal([]);
        expect(blocking).to.deep.include({ id: "SM-E0977", severity: "error" });
        expect(blocking?.evidence).to.contain("3 rows: devices (rowid 1").and.to.contain("): display_name;");
        expect((await assessed("strip")).map(({ id, severity }) => [id, severity])).to.deep.equal([
            ["SM-W0977", "warning"],
        ]);
        expect((await readFile(database)).equals(before)).to.equal(true);
        await strip(true);
        expect(await assessed()).to.deep.equal([]);
    });

    describe("when they are imported", () => {
        let cluster: TestCluster;
        before(async () => {
            cluster = await testCluster();
        });

        const imported = async (sqliteNul?: "strip"): Promise<{ run: TestRun; name: string; evidence: object }> => {
            const runDirectory = join(directory, "run");
            await mkdir(runDirectory, { recursive: true, mode: 0o700 });
            const run = testRun("r1", runDirectory);
            const name = await cluster.createDatabase();
            const source = { kind: "sqlite", serverName, database: [database] };
            const spec = { source, sqliteNul, targetPython: python, jobs: 1 } as unknown as ImportSpec;
            const { evidence } = await fillFromSqlite(spec, cluster.address(name), run);
            return { run, name, evidence };
        };

        it("are refused before anything is ported, or kept without their NUL and reported", async () => {
            const before = await readFile(database);
            const { detail } = await expectError("SM-E0977", () => imported());
            expect(detail.found).to.contain("3 rows");
            const { run, name, evidence } = await imported("strip");
            const rows = await cluster.query(name, "SELECT display_name FROM public.devices ORDER BY 1");
            expect(rows).to.deep.equal([{ display_name: "laptop" }, { display_name: "phone" }]);
            expect(await cluster.query(name, "SELECT displayname FROM public.profiles")).to.deep.equal([
                { displayname: "Al" },
            ]);
            expect(evidence).to.have.property("withoutNul").with.length(3);
            expect(run.said.join("\n")).to.contain("NUL characters were taken out of texts of 3 rows");
            expect((await readFile(database)).equals(before)).to.equal(true);
        });

        it("are refused where a row would get the key of another one", async () => {
            await sql(device(`'LAPTOP' || ${nul}`, "'second'"));
            const { detail } = await expectError("SM-E0978", () => imported("strip"));
            expect(detail.found).to.contain("1 rows: devices (rowid 3");
        });
    });
});
