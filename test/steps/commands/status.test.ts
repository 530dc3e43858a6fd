import { join } from "node:path";
import { expect } from "chai";
import { openJournal, readJournal } from "../../../engine/run/journal.ts";
import { prepareRunDirectory } from "../../../engine/run/runDirectory.ts";
import { statusLines } from "../../../steps/commands/status.ts";
import { withWorkDirectory } from "../../support/workDirectory.ts";

describe("the status of a run", () => {
    it("says so when nothing has been done", () => {
        expect(statusLines([])).to.deep.equal(["nothing has been done in this run"]);
    });

    it("has a line a step, in the order they were begun, with what last happened", () =>
        withWorkDirectory(async (directory) => {
            await prepareRunDirectory(directory);
            const file = join(directory, "journal.jsonl");
            const journal = openJournal(file);
            await journal.append({ step: "fence", phase: "migrate", kind: "intent" });
            await journal.append({ step: "fence", phase: "migrate", kind: "done" });
            await journal.append({ step: "dump", phase: "migrate", kind: "intent" });
            const error = { code: "SM-E1101", message: "a program failed\nits last line" };
            await journal.append({ step: "dump", phase: "migrate", kind: "failed", error });
            const [fence, dump] = statusLines(await readJournal(file));
            expect(fence).to.match(/^fence {2}done {3}done 20/);
            expect(dump).to.match(/^dump {3}begun {2}failed 20.* {2}a program failed$/);
        }));
});
