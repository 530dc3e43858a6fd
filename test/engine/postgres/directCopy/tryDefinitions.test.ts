import { expect } from "chai";
import { readdir } from "node:fs/promises";
import { withClient } from "../../../../engine/postgres/connection.ts";
import { makeIncoming } from "../../../../engine/postgres/databases/incomingDatabase.ts";
import { createMarker } from "../../../../engine/postgres/databases/marker.ts";
import { trialName } from "../../../../engine/postgres/databases/targetAddress.ts";
import { removeTrial, tryDefinitions } from "../../../../engine/postgres/directCopy/tryDefinitions.ts";
import { expectError } from "../../../support/expectError.ts";
import { testCluster, testServerName, type TestCluster } from "../../../support/cluster.ts";
import { newRun } from "../../../support/migrationDump.ts";
import type { TestRun } from "../../../support/stepRun.ts";
import { variedSchema } from "./databases.ts";

describe("the source's definitions, tried on the target", function () {
    this.timeout(120_000);
    let cluster: TestCluster;
    let run: TestRun;

    before(async function () {
        this.timeout(180_000);
        cluster = await testCluster();
    });
    beforeEach(async () => {
        run = await newRun(cluster);
    });
    /** Whatever came of it. */
    afterEach(async () => {
        expect(await cluster.databases()).not.to.include(trialName(run.id));
        expect(await readdir(run.directory)).to.deep.equal([]);
    });

    const tried = async (source: string, admin = "migrator", name = cluster.newName("target")): Promise<void> =>
        tryDefinitions(
            {
                source: cluster.address(source),
                database: { ...cluster.target(name), admin },
                ...{ serverName: testServerName, step: "trial" },
            },
            run,
        );

    it("are made, found equal and dropped, and the source is not changed", async () => {
        const source = await cluster.createDatabase("synapse");
        await cluster.query(source, variedSchema, "synapse");
        const before = await cluster.query(source, "SELECT xmin::text, relname FROM pg_class ORDER BY oid");
        await tried(source);
        expect(await cluster.query(source, "SELECT xmin::text, relname FROM pg_class ORDER BY oid")).to.deep.equal(
            before,
        );
    });

    it("are refused with SM-E0561 where the target's owner may not make them, with what PostgreSQL said", async () => {
        const source = await cluster.createDatabase();
        await cluster.query(source, "CREATE FUNCTION of_c(cstring) RETURNS int LANGUAGE internal AS 'int4in'");
        const { detail } = await expectError("SM-E0561", () => tried(source));
        expect(detail.found).to.contain("permission denied for language internal");
        expect(detail.changed).to.contain("nothing");
    });

    it("are made by no superuser, though Synapse's own role be one", async () => {
        const source = await cluster.createDatabase();
        const database = await cluster.installed(await cluster.createDatabase(), "postgres");
        const trial = { source: cluster.address(source), database, serverName: testServerName, step: "trial" };
        await tryDefinitions(trial, run);
        await cluster.query(source, "CREATE FUNCTION of_c(cstring) RETURNS int LANGUAGE internal AS 'int4in'");
        const { detail } = await expectError("SM-E0561", () => tryDefinitions(trial, run));
        expect(detail.found).to.contain("permission denied for language internal");
    });

    it("are refused with SM-E0561 where only what comes after the rows cannot be made", async () => {
        const source = await cluster.createDatabase();
        await cluster.query(
            source,
            `CREATE FUNCTION early(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
            CREATE TABLE t (a int); CREATE INDEX early_index ON t (early(a)); ALTER FUNCTION early(int) STABLE`,
            "synapse",
        );
        const { detail } = await expectError("SM-E0561", () => tried(source));
        expect(detail.found).to.contain("index").and.to.contain("IMMUTABLE");
    });

    it("are refused with SM-E0511 for an extension that is needed and that nobody there may create", async () => {
        const source = await cluster.createDatabase();
        await cluster.query(source, "CREATE EXTENSION pageinspect; CREATE VIEW v AS SELECT page_checksum('', 0)");
        await expectError("SM-E0511", () => tried(source));
        await tried(source, "postgres");
    });

    it("are refused with SM-E0515 where the swap could not rename the database in use", async () => {
        const source = await cluster.createDatabase();
        const inUse = await cluster.createDatabase();
        await cluster.query("postgres", `ALTER DATABASE ${inUse} OWNER TO postgres`);
        const { detail } = await expectError("SM-E0515", () => tried(source, "migrator", inUse));
        expect(detail.found).to.contain("it belongs to postgres");
    });

    it("take the place of what a killed attempt has left, which can also be removed alone", async () => {
        const source = await cluster.createDatabase();
        const leave = async (): Promise<void> => {
            const options = { step: "test" };
            await makeIncoming(cluster.address("postgres", "migrator"), trialName(run.id), "synapse", run.id, options);
            await withClient(cluster.address(trialName(run.id), "migrator"), options, (client) =>
                createMarker(client, run.id, testServerName, "restoring"),
            );
            await cluster.query(trialName(run.id), "CREATE TABLE left_behind ()", "synapse");
        };
        await leave();
        await tried(source);
        await leave();
        await removeTrial(cluster.target(cluster.newName()), run);
    });
});
