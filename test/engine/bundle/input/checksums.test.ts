import { expect } from "chai";
import { createHash } from "node:crypto";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { refuseOtherChecksums } from "../../../../engine/bundle/input/checksums.ts";
import { openDump } from "../../../../engine/bundle/dump/openDump.ts";
import { unpackMedia } from "../../../../engine/media/unpackMedia.ts";
import { expectError } from "../../../support/expectError.ts";
import { testRun } from "../../../support/stepRun.ts";
import { collect, run, sampleDump, withDirectory } from "../fixtures.ts";

const sumOf = (content: string): string => createHash("sha256").update(content).digest("hex");
const wrong = "0".repeat(64);

describe("checksums beside the input", () => {
    const lists: readonly (readonly [string, string, (sum: string) => string])[] = [
        ["<file>.sha256 as sha256sum writes it", "synapse.sql.sha256", (sum) => `${sum}  synapse.sql\n`],
        [
            "<file>.sha256 of a binary read, with line ends of Windows",
            "synapse.sql.sha256",
            (sum) => `${sum} *synapse.sql\r\n`,
        ],
        ["<file>.sha256 with nothing but the sum, in capitals", "synapse.sql.sha256", (sum) => sum.toUpperCase()],
        ["<file>.sha256 with the path it was made at", "synapse.sql.sha256", (sum) => `${sum}  /backup/synapse.sql\n`],
        ["<file>.sha256 with the name from before a download", "synapse.sql.sha256", (sum) => `${sum}  dump-1.sql\n`],
        [
            "<file>.sha256 as sha256sum --tag writes it",
            "synapse.sql.sha256",
            (sum) => `SHA256 (synapse.sql) = ${sum}\n`,
        ],
        ["SHA256SUMS among other files", "SHA256SUMS", (sum) => `# ours\n${wrong}  other\n${sum}  ./synapse.sql\n`],
        ["SHA256SUMS with whole paths", "SHA256SUMS", (sum) => `${sum}  /backup/synapse.sql\n`],
    ];
    for (const [title, name, text] of lists)
        it(`compares with ${title}`, () =>
            withDirectory(async (directory) => {
                const file = join(directory, "synapse.sql");
                await writeFile(file, "content");
                await writeFile(join(directory, name), text(sumOf("content")));
                expect(await refuseOtherChecksums([file])).to.deep.equal([join(directory, name)]);
                await writeFile(file, "c0ntent");
                const error = await expectError("SM-E0932", () => refuseOtherChecksums([file]));
                expect(error.message).to.include(sumOf("c0ntent")).and.include(sumOf("content")).and.include(name);
            }));

    it("reads what sha256sum itself writes for a name with a line break and a backslash", () =>
        withDirectory(async (directory) => {
            const name = "syn\\apse\n.sql";
            await writeFile(join(directory, name), "content");
            await writeFile(join(directory, "SHA256SUMS"), run("sha256sum", [name], { cwd: directory }));
            expect(await refuseOtherChecksums([join(directory, name)])).to.have.length(1);
            await writeFile(join(directory, name), "c0ntent");
            await expectError("SM-E0932", () => refuseOtherChecksums([join(directory, name)]));
        }));

    it("asks nothing of a file without checksums, or with those of others only", () =>
        withDirectory(async (directory) => {
            const file = join(directory, "synapse.sql");
            await writeFile(file, "content");
            expect(await refuseOtherChecksums([file])).to.deep.equal([]);
            await writeFile(join(directory, "SHA256SUMS"), `${wrong}  old-synapse.sql\nnot a line: x\n`);
            expect(await refuseOtherChecksums([file])).to.deep.equal([]);
        }));

    it("refuses a checksum file that is none, or was damaged where it speaks of the input", () =>
        withDirectory(async (directory) => {
            const file = join(directory, "synapse.sql");
            await writeFile(file, "content");
            for (const text of ["", "abc  synapse.sql\n", `${wrong}  a\n${wrong}  b\n`]) {
                await writeFile(`${file}.sha256`, text);
                await expectError("SM-E0932", () => refuseOtherChecksums([file]));
            }
            await rm(`${file}.sha256`);
            await writeFile(join(directory, "SHA256SUMS"), `${sumOf("content").slice(1)}  synapse.sql\n`);
            const error = await expectError("SM-E0932", () => refuseOtherChecksums([file]));
            expect(error.detail.where).to.equal(join(directory, "SHA256SUMS"));
        }));

    it("compares each part, and the file that they join to", () =>
        withDirectory(async (directory) => {
            const parts = ["aa", "ab"].map((suffix) => join(directory, `dump.gz.part-${suffix}`));
            for (const [at, part] of parts.entries()) await writeFile(part, `part ${at}`);
            await writeFile(join(directory, "dump.gz.sha256"), `${sumOf("part 0part 1")}  dump.gz\n`);
            expect(await refuseOtherChecksums(parts)).to.deep.equal([join(directory, "dump.gz.sha256")]);
            await writeFile(join(directory, "SHA256SUMS"), `${sumOf("part 1")}  dump.gz.part-ab\n`);
            expect(await refuseOtherChecksums(parts)).to.have.length(2);
            await writeFile(parts[0] ?? "", "part 2");
            await expectError("SM-E0932", () => refuseOtherChecksums(parts));
        }));

    for (const [title, list] of [
        ["beside", "SHA256SUMS"],
        ["in", "dump.dir/SHA256SUMS"],
    ] as const)
        it(`compares the files of a directory with the list ${title} it, and names what is missing or not listed`, () =>
            withDirectory(async (directory) => {
                const dump = join(directory, "dump.dir");
                await mkdir(dump);
                for (const name of ["toc.dat", "1.dat"]) await writeFile(join(dump, name), name);
                const prefix = title === "beside" ? "dump.dir/" : "";
                const lines = ["toc.dat", "1.dat"].map((name) => `${sumOf(name)}  ${prefix}${name}\n`);
                await writeFile(join(directory, list), lines.join(""));
                expect(await refuseOtherChecksums([`${dump}/`])).to.deep.equal([join(directory, list)]);
                await writeFile(join(dump, "2.dat"), "2.dat");
                const unlisted = await expectError("SM-E0932", () => refuseOtherChecksums([dump]));
                expect(unlisted.message).to.include("2.dat");
                await rm(join(dump, "2.dat"));
                await rename(join(dump, "1.dat"), join(directory, "1.dat"));
                const missing = await expectError("SM-E0932", () => refuseOtherChecksums([dump]));
                expect(missing.message).to.include("1.dat").and.include("missing");
            }));

    it("is asked before a dump or media are opened", () =>
        withDirectory(async (directory) => {
            const { progress } = testRun("r1", directory);
            const given = { workDirectory: directory, clientDirectory: "/usr/bin", progress };
            const dump = join(directory, "synapse.sql");
            await writeFile(dump, sampleDump(3));
            await writeFile(`${dump}.sha256`, sumOf(sampleDump(3)));
            expect((await collect((await openDump([dump], given)).stream)).toString()).to.equal(sampleDump(3));
            await writeFile(dump, sampleDump(4));
            await expectError("SM-E0932", () => openDump([dump], given));
            await expectError("SM-E0932", () => unpackMedia([dump], given));
        }));
});
