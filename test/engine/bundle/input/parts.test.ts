import { expect } from "chai";
import { basename, join } from "node:path";
import { writeFile } from "node:fs/promises";
import { compareSuffixes, follows, suffixOf } from "../../../../engine/bundle/input/partNames.ts";
import { joinedParts } from "../../../../engine/bundle/input/parts.ts";
import { expectError } from "../../../support/expectError.ts";
import { run, withDirectory } from "../fixtures.ts";

/** Files by name, with so many bytes. */
async function inDirectory<T>(
    files: Readonly<Record<string, number>>,
    work: (directory: string) => Promise<T>,
): Promise<T> {
    return withDirectory(async (directory) => {
        for (const [name, bytes] of Object.entries(files))
            await writeFile(join(directory, name), Buffer.alloc(bytes, 1));
        return work(directory);
    });
}

async function refused(files: Readonly<Record<string, number>>, found: string): Promise<void> {
    await inDirectory(files, async (directory) => {
        const { detail } = await expectError("SM-E0930", () => joinedParts(directory));
        expect(detail.found).to.contain(found);
        for (const name of Object.keys(files)) expect(detail.found).to.contain(name);
    });
}

describe("joining parts", () => {
    it("finds what split makes, in its order, beside whole files", () =>
        withDirectory(async (directory) => {
            await writeFile(join(directory, "x.sql.gz.gpg"), Buffer.alloc(70_000, 1));
            for (const args of [
                ["-b", "1000"],
                ["-b", "1000", "-d"],
                ["-b", "50"],
            ]) {
                run("split", [...args, "x.sql.gz.gpg", "y.sql.gz.gpg.part-"], { cwd: directory });
                const artefacts = await joinedParts(directory);
                expect(artefacts.map(({ name }) => name)).to.deep.equal(["x.sql.gz.gpg", "y.sql.gz.gpg"]);
                const listed = run("sh", ["-c", "ls y.*"], { cwd: directory }).toString().trim().split("\n");
                expect(artefacts[1]?.paths.map((path) => basename(path))).to.deep.equal(listed);
                run("sh", ["-c", "rm y.*"], { cwd: directory });
            }
        }));

    it("counts as split does", () => {
        const suffixes = Array.from({ length: 20_000 }, (_, n) => suffixOf(n));
        expect(suffixes.slice(648, 652)).to.deep.equal(["yy", "yz", "zaaa", "zaab"]);
        expect(suffixes.every((suffix, n) => n === 0 || follows(suffixes[n - 1] ?? "", suffix))).to.equal(true);
        expect([...suffixes].sort(compareSuffixes)).to.deep.equal(suffixes);
    });

    it("refuses a part that is missing", async () => {
        await refused({ "x.gpg.part-aa": 9, "x.gpg.part-ac": 9 }, "nothing between aa and ac");
        await refused({ "x.gpg.part-ab": 9, "x.gpg.part-ac": 9 }, "the first part is missing");
        await refused({ "x.gpg.001": 9, "x.gpg.003": 9 }, "nothing between 001 and 003");
    });

    it("refuses a part that is there twice, empty, or of another size", async () => {
        await refused({ "x.part-01": 9, "x.part-1": 9 }, "two parts");
        await refused({ "x.part-aa": 9, "x.part-ab": 0 }, "x.part-ab is empty");
        await refused({ "x.part-aa": 9, "x.part-ab": 8, "x.part-ac": 9 }, "x.part-ab has 8 bytes");
        await refused({ "x.part-aa": 9, "x.part-ab": 10 }, "the last part is larger");
        await refused({ "x.gpg": 18, "x.gpg.part-aa": 9, "x.gpg.part-ab": 9 }, "the whole file beside its parts");
    });

    it("refuses parts that are named out of their order, or twice", () =>
        inDirectory({ "x.part-aa": 9, "x.part-ab": 9 }, async (directory) => {
            const [a, b] = [join(directory, "x.part-aa"), join(directory, "x.part-ab")];
            expect((await joinedParts([a, b]))[0]?.paths).to.deep.equal([a, b]);
            await expectError("SM-E0930", () => joinedParts([b, a]));
            await expectError("SM-E0930", () => joinedParts([a, b, a]));
            await expectError("SM-E0931", () => joinedParts([join(directory, "absent")]));
        }));

    it("orders the archives of an export by number, and refuses an incomplete set", async () => {
        const names = Array.from({ length: 11 }, (_, n) => `export-part-${n + 1}.tgz.gpg`);
        await inDirectory(
            Object.fromEntries([...names, "export-manifest.tgz.gpg"].map((name, n) => [name, n + 1])),
            async (directory) => {
                const artefacts = await joinedParts(directory);
                expect(artefacts.map(({ name }) => name)).to.deep.equal(["export-manifest.tgz.gpg", ...names]);
            },
        );
        await refused({ "export-part-1.tgz": 9, "export-part-3.tgz": 9 }, "no number 2");
        await refused({ "export-part-2.tgz": 9 }, "no number 1");
        await refused({ "export-part-1.tgz": 9, "export-part-01.tgz": 9 }, "number 1 twice");
        await refused({ "export-part-1.tgz": 9, "export-part-2.tgz.gpg": 9 }, "endings");
    });
});
