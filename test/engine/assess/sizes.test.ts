import { expect } from "chai";
import { machineChecks } from "../../../engine/assess/machineChecks.ts";
import { readSizes } from "../../../engine/assess/sizes.ts";
import type { AssessmentContext } from "../../../engine/assess/check.ts";
import { withClient } from "../../../engine/postgres/connection.ts";
import { testCluster, type TestCluster } from "../../support/cluster.ts";

describe("the sizes of a source", function () {
    this.timeout(180_000);
    let cluster: TestCluster;
    before(async () => {
        cluster = await testCluster();
    });

    it("are those of the database and of the media it promises", async () => {
        const name = await cluster.createDatabase("synapse", cluster.newName("sizes"));
        await cluster.query(name, "TRUNCATE local_media_repository");
        await cluster.query(
            name,
            "INSERT INTO local_media_repository (media_id, media_length, user_id) VALUES ('a', 1000, '@a:x'), ('b', NULL, '@a:x')",
        );
        const { sizes, notRun } = await withClient(cluster.address(name), { step: "test" }, readSizes);
        expect(notRun).to.deep.equal([]);
        expect(sizes.databaseBytes).to.be.greaterThan(1e6);
        expect(sizes).to.deep.include({ mediaBytes: 1000, mediaFiles: 1 });
    });

    it("are without media in a database that is not Synapse's", async () => {
        const name = await cluster.createDatabase("empty", cluster.newName("sizes"));
        const { sizes } = await withClient(cluster.address(name), { step: "test" }, readSizes);
        expect(sizes).to.deep.include({ mediaFiles: 0, tables: 0 });
    });

    it("are listed as not run when they take too long, and then nothing is said about free space", async () => {
        const name = await cluster.createDatabase("synapse", cluster.newName("sizes"));
        const lock = "BEGIN; LOCK TABLE public.local_media_repository IN ACCESS EXCLUSIVE MODE";
        await withClient(cluster.address(name), { step: "holder" }, async (holder) => {
            await holder.query(lock);
            const options = { step: "test", statementSeconds: 0.3 };
            const measured = await withClient(cluster.address(name), options, readSizes);
            expect(measured.notRun).to.deep.equal(["media-size"]);
            const freeSpace = machineChecks.find(({ id }) => id === "free-space");
            expect(await freeSpace?.run({ measured } as unknown as AssessmentContext)).to.equal("not-run");
        });
    });
});
