import { expect } from "chai";
import { databaseChecks } from "../../../engine/assess/databaseChecks.ts";
import { copyChecks } from "../../../engine/assess/serverCopyChecks.ts";
import { replicationChecks } from "../../../engine/assess/replicationChecks.ts";
import type { Finding } from "../../../contract/index.ts";
import { startCluster, testCluster, type TestCluster } from "../../support/cluster.ts";
import { findingsOf } from "./runCheck.ts";

describe("what a direct copy leaves out", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    const found = (name: string, mode: "direct" | "replicate" | "archive"): Promise<Finding[]> =>
        findingsOf(copyChecks, "copied-objects", cluster.address(name), { copy: { mode } });

    before(async () => {
        cluster = await testCluster();
    });

    it("is nothing of a homeserver's database", async () => {
        expect(await found(await cluster.createDatabase("synapse"), "direct")).to.deep.equal([]);
    });

    it("is found before the source is stopped, and is no concern of an archive", async () => {
        const name = await cluster.createDatabase();
        await cluster.query(name, "SELECT lo_create(0); CREATE MATERIALIZED VIEW seen AS SELECT 1", "synapse");
        for (const mode of ["direct", "replicate"] as const) {
            const [blocking, ...more] = await found(name, mode);
            expect(more).to.deep.equal([]);
            expect(blocking).to.include({ id: "SM-E0540", severity: "error" });
            expect(blocking?.evidence).to.contain("1 large objects, materialized view public.seen");
            expect(blocking?.fix).to.contain("copy: archive");
        }
        expect(await found(name, "archive")).to.deep.equal([]);
    });
});

describe("what is in a database beside Synapse's own", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    const found = async (name: string, id: string, spec = {}): Promise<string[]> =>
        (await findingsOf(copyChecks, id, cluster.address(name), spec)).map(
            ({ id: code, evidence }) => `${code} ${evidence.replace(/^[^:]*: /, "")}`,
        );

    before(async () => {
        cluster = await testCluster();
    });

    it("is nothing in a homeserver's own", async () => {
        const name = await cluster.createDatabase("synapse");
        for (const id of ["readable-objects", "left-behind", "guests", "privileges-of-others", "needed-extensions"])
            expect(await found(name, id), id).to.deep.equal([]);
    });

    it("is warned of with SM-W0564 where others have rights, which stay behind; what initdb gives is none", async () => {
        const name = await cluster.createDatabase("synapse");
        await cluster.query(
            name,
            "GRANT SELECT ON public.users, public.events TO migrator; GRANT CREATE ON SCHEMA public TO PUBLIC",
        );
        expect(await found(name, "privileges-of-others")).to.deep.equal([
            "SM-W0564 PUBLIC on 1 object; migrator on 2 objects",
        ]);
    });

    it("is refused with SM-E0560 where the role may not read it, in whatever way, all of it at once", async () => {
        const name = await cluster.createDatabase();
        await cluster.query(
            name,
            `CREATE SCHEMA bridge; CREATE TABLE bridge.puppets (id int); CREATE TABLE of_somebody_else (id int);
            CREATE SEQUENCE counter; GRANT UPDATE ON SEQUENCE counter TO synapse; SELECT lo_create(7000);
            CREATE TABLE hidden (id int); GRANT SELECT ON hidden TO synapse; ALTER TABLE hidden ENABLE ROW LEVEL SECURITY;
            CREATE TABLE shared (id int); GRANT SELECT ON shared TO synapse`,
        );
        expect(await found(name, "readable-objects")).to.deep.equal([
            "SM-E0560 large object 7000 of postgres: no SELECT; sequence public.counter of postgres: no SELECT; " +
                "table bridge.puppets of postgres: no USAGE on its schema; table public.hidden of postgres: row security hides rows; " +
                "table public.of_somebody_else of postgres: no SELECT",
        ]);
    });

    it("is named with SM-W0563, as it is moved with it and belongs to another role then", async () => {
        const name = await cluster.createDatabase("synapse");
        await cluster.query(
            name,
            `CREATE SCHEMA bridge AUTHORIZATION migrator; CREATE TABLE bridge.a (); CREATE TABLE bridge.b ();
            CREATE TABLE of_somebody_else ()`,
        );
        expect(await found(name, "guests")).to.deep.equal([
            "SM-W0563 schema bridge of migrator, 2 tables; table public.of_somebody_else of postgres",
        ]);
    });

    it("stays where it is where nothing needs it, as SM-W0562 says, and is no foreign code then", async () => {
        const name = await cluster.createDatabase("synapse");
        await cluster.query(
            name,
            `CREATE EXTENSION pg_stat_statements; CREATE EXTENSION amcheck; CREATE EXTENSION pageinspect; CREATE EXTENSION pgrowlocks;
            CREATE EXTENSION citext; CREATE TABLE words (word citext);
            CREATE FUNCTION locks() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM pgrowlocks('events')); END $$;
            CREATE VIEW pages AS SELECT page_checksum('', 0);
            CREATE FUNCTION noted() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN END $$;
            CREATE EVENT TRIGGER "Noted" ON ddl_command_end EXECUTE FUNCTION noted()`,
        );
        expect(await found(name, "left-behind")).to.deep.equal([
            'SM-W0562 event trigger "Noted", extension amcheck, extension pg_stat_statements',
        ]);
        const foreign = (await findingsOf(databaseChecks, "foreign-code", cluster.address(name), {})).map(
            ({ evidence }) => evidence.replace(/^[^:]*: /, ""),
        );
        expect(foreign).to.include.members(["extension pageinspect", "extension pgrowlocks", "extension citext"]);
        expect(foreign.join()).not.to.match(/amcheck|pg_stat_statements|event trigger/);
        const { host, port } = cluster.address(name);
        const server = { kind: "existing" as const, host, port, adminPasswordFile: cluster.passwordFile };
        const targetServer = (admin: string) => ({ targetServer: { ...server, admin, programs: cluster.programs } });
        const [lacking] = await found(name, "needed-extensions", targetServer("migrator"));
        expect(lacking).to.contain("SM-E0511").and.to.contain("no extension pageinspect, pgrowlocks that");
        expect(await found(name, "needed-extensions", targetServer("postgres"))).to.deep.equal([]);
    });
});

describe("what following a source needs", function () {
    this.timeout(180_000);
    let cluster: TestCluster | undefined;
    const found = async (on: TestCluster, mode: "direct" | "replicate"): Promise<Finding[]> => {
        const name = await on.createDatabase("synapse");
        const source = await on.source(name);
        return findingsOf(replicationChecks, "replication-source", on.address(name), { copy: { mode }, source });
    };

    afterEach(() => cluster?.stop());

    it("is found before anything is staged, all at once, and is no concern of another copy", async () => {
        cluster = await startCluster();
        const findings = await found(cluster, "replicate");
        expect(findings.map(({ id, severity }) => `${id} ${severity}`)).to.deep.equal([
            "SM-E1301 error",
            "SM-E1302 error",
            "SM-W1301 warning",
        ]);
        expect(findings[0]?.evidence).to.contain("wal_level = replica");
        expect(findings[1]?.fix).to.contain("REPLICATION");
        expect(await found(cluster, "direct")).to.deep.equal([]);
    });

    it("is asked of the target's server, too, where that is there already", async () => {
        cluster = await startCluster();
        const { port, programs, passwordFile } = cluster;
        const name = await cluster.createDatabase();
        const asked = (admin: string, mode: "direct" | "replicate"): Promise<Finding[]> => {
            const server = {
                kind: "existing" as const,
                host: "127.0.0.1",
                port,
                admin,
                adminPasswordFile: passwordFile,
            };
            const targetServer = { ...server, programs, directory: "/no/such" };
            const address = cluster?.address(name) ?? expect.fail("no cluster");
            return findingsOf(replicationChecks, "replication-target", address, { copy: { mode }, targetServer });
        };
        const [finding, ...more] = await asked("migrator", "replicate");
        expect(more).to.deep.equal([]);
        expect(finding).to.include({ id: "SM-E1302", severity: "error" });
        expect(finding?.evidence).to.contain('role "migrator" may not make subscriptions');
        expect(await asked("postgres", "replicate")).to.deep.equal([]);
        expect(await asked("migrator", "direct")).to.deep.equal([]);
    });

    it("is there on a server that is ready", async () => {
        cluster = await startCluster({ settings: { wal_level: "logical", max_slot_wal_keep_size: "1GB" } });
        await cluster.query("postgres", "ALTER ROLE synapse REPLICATION");
        expect(await found(cluster, "replicate")).to.deep.equal([]);
    });
});
