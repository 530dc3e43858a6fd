import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import type { Phase } from "../../../contract/index.ts";
import { keepDeclared, refuseForgotten } from "../../../engine/run/declaredPhase.ts";
import { exists } from "../../../engine/run/exists.ts";
import { openJournal, type JournalRecord } from "../../../engine/run/journal.ts";
import { runDirectoryPaths } from "../../../engine/run/runDirectory.ts";
import { expectError } from "../../support/expectError.ts";

describe("a stack that has lost its state", () => {
    let directory: string;
    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "synapse-migration-declared-"));
    });
    afterEach(() => rm(directory, { recursive: true }));

    type Entry = readonly [step: string, phase: Phase, ...kinds: JournalRecord["kind"][]];

    async function declared(phase: Phase, ...entries: readonly Entry[]): Promise<void> {
        const paths = runDirectoryPaths(directory);
        const journal = openJournal(paths.journal);
        for (const [step, of, ...kinds] of entries)
            for (const kind of kinds) await journal.append({ step, phase: of, kind });
        await keepDeclared(directory, phase);
        await refuseForgotten({ name: "database" }, await journal.read(), paths);
    }
    const done = ["intent", "done"] as const;

    it("is refused when it goes back, with the phase that it must declare first", async () => {
        const { detail } = await expectError("SM-E0719", () =>
            declared(
                "stage",
                ["database", "stage", ...done],
                ["fence", "migrate", ...done],
                ["hold", "cutover", ...done],
            ),
        );
        expect(detail.found).to.match(/phase stage, and done are fence, hold,/);
        expect(detail.expected).to.match(/^phase cutover/);
        expect(detail.changed).to.equal("nothing");
    });

    it("goes on when it declares the phase that was reached, or when the later steps were taken back", async () => {
        await declared("migrate", ["database", "stage", ...done], ["fence", "migrate", ...done]);
        await declared("stage", ["fence", "migrate", "undo", "undone"]);
    });

    it("makes a step of an earlier phase that was never done", () => declared("stage", ["fence", "migrate", ...done]));

    it("keeps nothing for a run that has not begun, and needs nothing", async () => {
        const paths = runDirectoryPaths(directory);
        await keepDeclared(directory, "stage");
        expect(await exists(paths.declared)).to.equal(false);
        await writeFile(paths.journal, "");
        await refuseForgotten({ name: "database" }, [], paths);
    });
});
