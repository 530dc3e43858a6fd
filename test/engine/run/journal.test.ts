import { appendFile, readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "chai";
import { makePrivateDirectory } from "../../../engine/run/atomicFile.ts";
import { openJournal, readJournal, type JournalEntry } from "../../../engine/run/journal.ts";
import { expectError } from "../../support/expectError.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

const entry = (step: string): JournalEntry => ({ step, kind: "intent", phase: "migrate", specDigest: "abc" });

async function withJournal(work: (file: string) => Promise<void>): Promise<void> {
    await withWorkDirectory(async (directory) => {
        await makePrivateDirectory(directory);
        await work(join(directory, "journal.jsonl"));
    });
}

describe("journal", () => {
    it("is empty where there is no file", () =>
        withJournal(async (file) => {
            expect(await readJournal(file)).to.deep.equal([]);
        }));

    it("gives back what was appended, chained", () =>
        withJournal(async (file) => {
            const journal = openJournal(file);
            const first = await journal.append(entry("dump"));
            const second = await journal.append({ ...entry("dump"), kind: "done", result: { rows: 3 }, seconds: 1.5 });
            expect(second.previous).to.equal(first.hash);
            expect(await journal.read()).to.deep.equal([first, second]);
        }));

    it("has with each record how long the machine is up, which nobody sets", () =>
        withJournal(async (file) => {
            const [first, second] = [
                await openJournal(file).append(entry("a")),
                await openJournal(file).append(entry("b")),
            ];
            expect(first.uptime?.boot)
                .to.match(/^[0-9a-f-]{36}$/)
                .and.to.equal(second.uptime?.boot);
            expect(second.uptime?.seconds).to.be.at.least(first.uptime?.seconds ?? Infinity);
        }));

    it("keeps every record of writers that append at the same time", () =>
        withJournal(async (file) => {
            await Promise.all(
                Array.from({ length: 12 }, (_, index) => openJournal(file).append(entry(`step-${index}`))),
            );
            const records = await readJournal(file);
            expect(records.map(({ seq }) => seq)).to.deep.equal([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            expect(new Set(records.map(({ step }) => step)).size).to.equal(12);
        }));

    it("counts a record that was torn at any byte as not written, and goes on after it", () =>
        withJournal(async (file) => {
            const journal = openJournal(file);
            await journal.append(entry("fence"));
            const whole = (await readFile(file)).length;
            await journal.append(entry("dump"));
            const all = await readFile(file);
            for (let length = whole; length < all.length; length += 1) {
                await writeFile(file, all.subarray(0, length));
                expect((await readJournal(file)).length, `cut at ${length}`).to.equal(1);
            }
            const again = await journal.append(entry("restore"));
            expect(again.seq).to.equal(2);
            expect((await readJournal(file)).map(({ step }) => step)).to.deep.equal(["fence", "restore"]);
        }));

    it("refuses a flipped bit anywhere in a finished record and names its line", () =>
        withJournal(async (file) => {
            const journal = openJournal(file);
            await journal.append(entry("fence"));
            await journal.append(entry("dump"));
            const bytes = await readFile(file);
            const firstLine = bytes.indexOf(0x0a);
            for (let position = 0; position < firstLine; position += 7) {
                const damaged = Buffer.from(bytes);
                damaged[position] = (damaged[position] ?? 0) ^ 0x01;
                await writeFile(file, damaged);
                const error = await expectError("SM-E0701", () => readJournal(file));
                expect(error.detail.where).to.match(/:[12]$/);
            }
        }));

    it("refuses a journal from which a record was taken away", () =>
        withJournal(async (file) => {
            const journal = openJournal(file);
            for (const step of ["a", "b", "c"]) await journal.append(entry(step));
            const lines = (await readFile(file, "utf8")).split("\n");
            await writeFile(file, [lines[0], lines[2], ""].join("\n"));
            await expectError("SM-E0701", () => readJournal(file));
        }));

    it("changes nothing when it refuses", () =>
        withJournal(async (file) => {
            await openJournal(file).append(entry("fence"));
            await appendFile(file, "not a record\n");
            const before = await readFile(file, "utf8");
            await expectError("SM-E0701", () => openJournal(file).append(entry("dump")));
            expect(await readFile(file, "utf8")).to.equal(before);
            await truncate(file, 0);
        }));
});
