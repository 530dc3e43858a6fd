import { expect } from "chai";
import { constraintChecks } from "../../../engine/assess/constraintChecks.ts";
import type { Finding } from "../../../contract/index.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { withTableScans } from "../../../engine/assess/tableScans.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";
import { restored } from "./restored.ts";
import { findingsOf } from "./runCheck.ts";

describe("rows that break a restore", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    let name = "";
    const tables = `
        CREATE TABLE users (id bigint PRIMARY KEY, home int, UNIQUE (id, home));
        CREATE TABLE devices (id bigint PRIMARY KEY, owner bigint CONSTRAINT devices_owner REFERENCES users (id));
        CREATE TABLE tokens (token text PRIMARY KEY, owner bigint CONSTRAINT tokens_owner REFERENCES users (id));
        CREATE FUNCTION latest() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 10';
        CREATE TABLE rooms (id bigint PRIMARY KEY, version int CONSTRAINT rooms_version CHECK (version <= public.latest()));
        INSERT INTO users VALUES (1, 1), (2, 1);
        INSERT INTO devices VALUES (10, 1), (11, NULL);
        INSERT INTO tokens VALUES ('secret-token', 2);
        INSERT INTO rooms VALUES (1, 10), (2, NULL);`;
    const sql = (statements: string): Promise<unknown> => cluster.query(name, statements);
    const unchecked = (statements: string): Promise<unknown> =>
        sql(`SET session_replication_role = replica; ${statements}; RESET session_replication_role`);
    const found = (): Promise<Finding[]> => findingsOf(constraintChecks, "rows-and-constraints", cluster.address(name));
    const only = (findings: readonly Finding[]): Finding => {
        const [first, ...more] = findings;
        expect(more).to.deep.equal([]);
        if (first === undefined) expect.fail("nothing was found");
        return first;
    };
    /** How many rows the query of a fix lists. */
    const listed = async ({ fix }: Finding): Promise<number> =>
        (await cluster.query(name, fix.slice(fix.indexOf("SELECT")))).length;

    before(async () => {
        cluster = await testCluster();
    });
    beforeEach(async () => {
        name = await cluster.createDatabase("empty");
        await sql(tables);
        await sql(
            "DO $$ BEGIN EXECUTE (SELECT string_agg(format('ALTER TABLE %I OWNER TO synapse', tablename), '; ') FROM pg_tables WHERE schemaname = 'public'); END $$",
        );
    });

    it("are none in a homeserver's database, and none where every row fits or is without a value", async () => {
        expect(await found()).to.deep.equal([]);
        name = await cluster.createDatabase("synapse");
        expect(await found()).to.deep.equal([]);
        // Synapse leaves constraints unvalidated for good.
        expect(await cluster.query(name, "SELECT FROM pg_constraint WHERE NOT convalidated")).not.to.have.length(0);
    });

    it("block where a foreign key finds no row, with three of their keys and a query for all", async () => {
        await unchecked("INSERT INTO devices VALUES (12, 7), (13, 8), (14, 9), (15, 9)");
        const blocking = only(await found());
        expect(blocking).to.deep.include({ id: "SM-E0520", severity: "error" });
        expect(blocking.evidence).to.contain("4 of public.devices (id 12, id 13, id 14) have no row of public.users");
        expect(blocking.evidence).to.contain("devices_owner");
        expect(await listed(blocking)).to.equal(4);
        expect((await restored(cluster, name)).failure).to.contain('violates foreign key constraint "devices_owner"');
    });

    it("are shown by their place where the key is no number, as it may be a secret", async () => {
        await unchecked("INSERT INTO tokens VALUES ('stolen-token', 7)");
        const blocking = only(await found());
        expect(JSON.stringify(blocking)).to.contain("ctid (0,2)").and.not.to.contain("stolen-token");
    });

    it("are looked for without indexes, which may be damaged, and those are used again afterwards", async () => {
        const reading = await withClient(cluster.address(name), { step: "test" }, async (client) => {
            const scans = (): Promise<string> =>
                client
                    .query<{ enable_indexscan: string }>("SHOW enable_indexscan")
                    .then(({ rows }) => rows[0]?.enable_indexscan ?? "");
            return [await withTableScans(client, scans), await scans()];
        });
        expect(reading).to.deep.equal(["off", "on"]);
    });

    it("are rows of which a foreign key of several columns has all values, or under MATCH FULL some", async () => {
        await sql(`
            CREATE TABLE simple (a bigint, b int, CONSTRAINT simple_pair FOREIGN KEY (b, a) REFERENCES users (home, id));
            CREATE TABLE whole (a bigint, b int, CONSTRAINT whole_pair FOREIGN KEY (a, b) REFERENCES users (id, home) MATCH FULL);
            GRANT SELECT ON simple, whole TO synapse`);
        await sql("INSERT INTO simple VALUES (1, 1), (7, NULL); INSERT INTO whole VALUES (2, 1), (NULL, NULL)");
        expect(await found()).to.deep.equal([]);
        await unchecked("INSERT INTO simple VALUES (1, 2); INSERT INTO whole VALUES (1, NULL), (1, 2)");
        const [simple, whole] = await found();
        expect(simple?.evidence).to.contain("1 of public.simple (ctid (0,3))");
        expect(whole?.evidence).to.contain("2 of public.whole (ctid (0,3), ctid (0,4))");
    });

    it("are found once in partitioned tables", async () => {
        await sql(`
            CREATE TABLE parts (id bigint, owner bigint CONSTRAINT parts_owner REFERENCES users (id)) PARTITION BY LIST (id);
            CREATE TABLE part_one PARTITION OF parts FOR VALUES IN (1); GRANT SELECT ON parts, part_one TO synapse`);
        await sql("INSERT INTO parts VALUES (1, 2)");
        expect(await found()).to.deep.equal([]);
        await unchecked("INSERT INTO parts VALUES (1, 7)");
        expect(only(await found()).evidence).to.contain("1 of public.parts ");
    });

    it("block where they violate a check that they once passed", async () => {
        await sql("CREATE OR REPLACE FUNCTION latest() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 9'");
        const blocking = only(await found());
        expect(blocking).to.deep.include({ id: "SM-E0521", severity: "error" });
        expect(blocking.evidence).to.contain("1 of public.rooms (id 1) violate rooms_version");
        expect(await listed(blocking)).to.equal(1);
        expect((await restored(cluster, name)).failure).to.contain('violates check constraint "rooms_version"');
    });

    describe("under a constraint that was never validated", () => {
        beforeEach(() =>
            sql(`
                ALTER TABLE users ADD CONSTRAINT users_home CHECK (home > 1) NOT VALID;
                ALTER TABLE rooms ADD CONSTRAINT rooms_first FOREIGN KEY (version) REFERENCES users (id) NOT VALID`),
        );

        it("are warned of, as they are restored with it", async () => {
            const findings = await found();
            expect(findings.map(({ id, severity }) => `${id} ${severity}`)).to.deep.equal([
                "SM-W0520 warning",
                "SM-W0521 warning",
            ]);
            expect(findings[1]?.fix).to.contain("nothing has to be done for the migration");
            expect(findings[1]?.evidence).to.contain("2 of public.users (id 1, id 2) violate users_home");
            const copy = await restored(cluster, name);
            expect(copy.failure).to.equal(undefined);
            const constraints = await cluster.query(copy.name, "SELECT FROM pg_constraint WHERE NOT convalidated");
            expect(constraints).to.have.length(2);
        });

        it("are none where all of them fit it", async () => {
            await sql("UPDATE users SET home = 2; UPDATE rooms SET version = 1");
            expect(await found()).to.deep.equal([]);
        });
    });
});
