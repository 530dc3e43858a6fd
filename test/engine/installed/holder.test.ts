import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { claimInstalled, heldInstalled, releaseInstalled } from "../../../engine/installed/holder.ts";

describe("the run that works on an installed homeserver", () => {
    let directory: string;
    const run = (id: string) => ({ id, directory: join(directory, "runs", id) });

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-holder-"));
        await mkdir(join(directory, "runs"));
    });
    afterEach(() => rm(directory, { recursive: true }));

    it("is the newest: an older one takes nothing back any more, and both know what was there before", async () => {
        expect(await heldInstalled(run("r1"), "service")).to.equal(undefined);
        const records = await claimInstalled(run("r1"), "service");
        expect(await heldInstalled(run("r1"), "service")).to.equal(records);
        expect(await claimInstalled(run("r2"), "service")).to.equal(records);
        expect(await heldInstalled(run("r1"), "service")).to.equal(undefined);
        expect(await heldInstalled(run("r2"), "service")).to.equal(records);
    });

    it("is the older one until the newer one has stopped it: what was only staged takes nothing over", async () => {
        const records = await claimInstalled(run("r1"), "media");
        await claimInstalled(run("r1"), "service");
        await claimInstalled(run("r2"), "media");
        expect(await heldInstalled(run("r1"), "service")).to.equal(records);
        expect(await heldInstalled(run("r1"), "media")).to.equal(undefined);
    });

    it("is forgotten once nothing is recorded, and not before", async () => {
        const records = await claimInstalled(run("r1"), "service");
        await writeFile(join(records, "vacated.json"), "{}");
        await releaseInstalled(records);
        expect(await heldInstalled(run("r1"), "service")).to.equal(records);
        await rm(join(records, "vacated.json"));
        await releaseInstalled(records);
        expect(await readdir(join(directory, "runs"))).to.deep.equal([]);
    });
});
