import { expect } from "chai";
import { mkdir, mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import type { AssessmentContext } from "../../../engine/assess/check.ts";
import { lackingSpace, spaceOn } from "../../../engine/machines/freeSpace.ts";
import { helperMachine } from "../../support/helperMachine.ts";
import { machineChecks } from "../../../engine/assess/machineChecks.ts";

const gibibyte = 2 ** 30;
const need = (device: string, freeGib: number, neededGib: number) => ({
    device,
    path: `/${device}${neededGib}`,
    freeBytes: freeGib * gibibyte,
    neededBytes: neededGib * gibibyte,
});

describe("the space that a migration needs", () => {
    it("is there when each file system has room for all that goes on it", () => {
        expect(lackingSpace([need("a", 10, 4), need("a", 10, 6), need("b", 1, 1)])).to.deep.equal([]);
    });

    it("lacks with numbers where two needs share a file system that has room for each alone (B48)", () => {
        const [found, ...more] = lackingSpace([need("a", 10, 4), need("a", 10, 7), need("b", 20, 1)]);
        expect(more).to.deep.equal([]);
        expect(found?.id).to.equal("SM-E1201");
        expect(found?.evidence).to.contain("11.0 GiB are needed").and.to.contain("10.0 GiB are free");
    });

    it("is told of another machine by that machine, whose devices have numbers of their own", async () => {
        const far = await helperMachine();
        try {
            const { bavail, bsize } = await statfs(tmpdir());
            const there = await spaceOn(far, tmpdir(), gibibyte);
            expect(there).to.deep.include({ path: `${tmpdir()} on ${far.name}`, neededBytes: gibibyte });
            // Others write there, too.
            expect((there?.freeBytes ?? 0) / (bavail * bsize)).to.be.within(0.9, 1.1);
            const here = await spaceOn(thisMachine, tmpdir(), gibibyte);
            expect(here).to.include({ path: tmpdir() });
            expect(there?.device).to.equal(`${here?.device ?? ""} of ${far.name}`);
            expect(await spaceOn(far, "/nowhere", 0)).to.equal(undefined);
        } finally {
            await far.close();
        }
    });

    it("is that of the whole dump, too, where it is written into a bundle table by table", async () => {
        const { bavail, bsize } = await statfs(tmpdir());
        const sizes = { databaseBytes: (bavail * bsize) / 1.2, mediaBytes: 0, mediaFiles: 0, tables: 1 };
        const found = (databaseFormat?: "directory") =>
            machineChecks
                .find(({ id }) => id === "free-space")
                ?.run({
                    spec: {
                        ...{ run: { directory: tmpdir() }, targetDirectory: tmpdir() },
                        bundle: { programs: "/nowhere", databaseFormat },
                    },
                    measured: { sizes, notRun: [] },
                } as unknown as AssessmentContext);
        expect(await found()).to.deep.equal([]);
        expect(await found("directory")).to.have.nested.property("[0].id", "SM-E1201");
    });

    it("is not needed for media that stay in a bucket", async () => {
        const directory = await mkdtemp(join(tmpdir(), "synapse-migration-space-"));
        try {
            await mkdir(join(directory, "local_content/aa/bb"), { recursive: true });
            await writeFile(join(directory, "local_content/aa/bb/cc"), "small");
            const check = machineChecks.find(({ id }) => id === "free-space") ?? expect.fail("there is no such check");
            const run = (spec: object) =>
                check.run({
                    spec: { targetDirectory: directory, run: { directory }, source: {}, quick: false, ...spec },
                    config: { machine: thisMachine, mediaStorePath: directory },
                    measured: { notRun: [], sizes: { databaseBytes: 0, mediaBytes: 2 ** 60 } },
                } as unknown as AssessmentContext);
            expect(await run({})).to.have.length(1);
            for (const quick of [true, false])
                expect(await run({ quick, mediaStorageProvider: { kind: "keep" } })).to.deep.equal([]);
        } finally {
            await rm(directory, { recursive: true });
        }
    });
});
