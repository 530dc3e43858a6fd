import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { isReplacement, rememberAnswer } from "../../../engine/run/replacement.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const operation = (name: string | undefined): Promise<string | undefined> => Promise.resolve(name);

describe("a deletion", () => {
    const withFile = (work: (file: string) => Promise<void>): Promise<void> =>
        withWorkDirectory(async (directory) => {
            await mkdir(directory);
            await work(join(directory, "start.answered"));
        });

    it("is the second half of a replacement in the operation that was answered, and only once", () =>
        withFile(async (file) => {
            await rememberAnswer(file, operation("plugin 1"));
            expect(await isReplacement(file, operation("plugin 1"))).to.equal(true);
            expect(await isReplacement(file, operation("plugin 1"))).to.equal(false);
        }));

    it("is a deletion in any other operation, and when a person calls", () =>
        withFile(async (file) => {
            await rememberAnswer(file, operation("plugin 1"));
            expect(await isReplacement(file, operation("plugin 2"))).to.equal(false);
            await rememberAnswer(file, operation(undefined));
            expect(await isReplacement(file, operation(undefined))).to.equal(false);
            // This test's own parent is no plugin of Pulumi.
            await rememberAnswer(file);
            expect(await isReplacement(file)).to.equal(false);
        }));
});
