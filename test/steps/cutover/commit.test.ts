import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import type { z } from "zod";
import { commitContract } from "../../../contract/index.ts";
import { tokenDigest, writeToken } from "../../../engine/fence/fenceToken.ts";
import { readWatermarks } from "../../../engine/fence/watermarks.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { advanceMarker, createMarker, readMarker } from "../../../engine/postgres/databases/marker.ts";
import { commit } from "../../../steps/cutover/commit.ts";
import { testCluster, testServerName, type TestCluster } from "../../support/cluster.ts";
import { expectError } from "../../support/expectError.ts";
import { newRun } from "../../support/migrationDump.ts";

type Spec = z.infer<typeof commitContract.spec>;

describe("the step commit", () => {
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    /** A fenced source and a target whose database is swapped in. */
    async function prepared() {
        const run = await newRun(cluster);
        const [sourceName, targetName] = [await cluster.createDatabase(), await cluster.createDatabase()];
        await cluster.query(sourceName, "CREATE TABLE users (name text); CREATE SEQUENCE stream", "synapse");
        await withClient(cluster.address(targetName), { step: "test" }, async (client) => {
            await createMarker(client, run.id, testServerName, "staged");
            await advanceMarker(client, run.id, ["staged"], "swapped");
        });
        const watermarks = await withClient(cluster.address(sourceName), { step: "test" }, readWatermarks);
        const token = { run: run.id, serverName: testServerName, fencedAt: new Date().toISOString(), watermarks };
        await writeToken(run.directory, token);
        const spec: Spec = {
            run: { id: run.id, directory: run.directory },
            source: await cluster.source(sourceName),
            database: cluster.target(targetName),
            fenceToken: tokenDigest(token),
            probe: "0".repeat(64),
        };
        const state = async () => (await withClient(cluster.address(targetName), { step: "test" }, readMarker))?.state;
        return { run, spec, sourceName, targetName, state };
    }

    it("marks the target's database as the one that serves, and once more when it is repeated", async () => {
        const { run, spec, state } = await prepared();
        const first = commitContract.result.parse(await commit.act(spec, run));
        expect(await state()).to.equal("committed");
        expect(await commit.act(spec, run)).to.deep.equal(first);
        expect(await state()).to.equal("committed");
    });

    it("refuses with SM-E0702 a source that was written to, moved a stream, or has somebody connected; nothing is committed", async () => {
        for (const write of ["INSERT INTO users VALUES ('@late:x')", "SELECT nextval('stream')", "TRUNCATE users"]) {
            const { run, spec, sourceName, state } = await prepared();
            await cluster.query(sourceName, write);
            await expectError("SM-E0702", () => commit.act(spec, run));
            expect(await state(), write).to.equal("swapped");
        }
        const { run, spec, sourceName, state } = await prepared();
        await withClient(cluster.address(sourceName), { step: "test" }, async (client) => {
            await client.query("SET application_name = 'synapse'");
            await expectError("SM-E0702", () => commit.act(spec, run));
        });
        expect(await state()).to.equal("swapped");
    });

    it("refuses with SM-E0703 a token that is not the fence's, and one that is gone", async () => {
        const { run, spec, state } = await prepared();
        await expectError("SM-E0703", () => commit.act({ ...spec, fenceToken: "0".repeat(64) }, run));
        await rm(join(run.directory, "fence-token.json"));
        await expectError("SM-E0703", () => commit.act(spec, run));
        expect(await state()).to.equal("swapped");
    });

    it("refuses with SM-E0708 a database of another run, one that was not swapped in, and one without a marker", async () => {
        for (const spoil of [
            "UPDATE synapse_migration.marker SET run = 'another'",
            "UPDATE synapse_migration.marker SET state = 'verified'",
            "DROP SCHEMA synapse_migration CASCADE",
        ]) {
            const { run, spec, targetName, state } = await prepared();
            await cluster.query(targetName, spoil);
            await expectError("SM-E0708", () => commit.act(spec, run));
            expect(await state(), spoil).to.not.equal("committed");
        }
    });
});
