import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { holdersOf } from "../../../engine/machines/fileHolders.ts";
import { thisMachine } from "../../../engine/machines/local/localMachine.ts";
import { MigrationError } from "../../../engine/run/errors.ts";
import { expectError } from "../../support/expectError.ts";
import { newWorkDirectory } from "../../support/workDirectory.ts";

describe("processes that have a file open", () => {
    it("are found, and none where nobody has", async () => {
        const directory = await newWorkDirectory();
        await mkdir(directory);
        const path = join(directory, "held");
        await writeFile(path, "x");
        const { identity = "" } = (await thisMachine.files.stat(path)) ?? {};
        expect(await holdersOf(thisMachine, new Set([identity]))).to.deep.equal([]);
        const file = await open(path);
        try {
            const pids = (await holdersOf(thisMachine, new Set([identity]))).map(({ pid }) => pid);
            expect(pids).to.deep.equal([process.pid]);
        } finally {
            await file.close();
            await rm(directory, { recursive: true });
        }
    });

    it("are not taken to be none where the machine is lost in the middle", async () => {
        const lost = (): Promise<never> =>
            Promise.reject(new MigrationError("SM-E1401", { where: "old", found: "no answer" }));
        for (const files of [{ links: lost }, { links: () => Promise.resolve(new Map([["3", "/x"]])), stat: lost }]) {
            const machine = { ...thisMachine, files: { ...thisMachine.files, ...files } };
            await expectError("SM-E1401", () => holdersOf(machine, new Set(["1:1"])));
        }
    });
});
