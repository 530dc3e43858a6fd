import { expect } from "chai";
import type { JournalRecord } from "../../../engine/run/journal.ts";
import { stepState } from "../../../engine/run/stepState.ts";
import { stepsToUndo } from "../../../engine/run/undoOrder.ts";

let seq = 0;
const record = (step: string, kind: JournalRecord["kind"], extra: Partial<JournalRecord> = {}): JournalRecord => ({
    seq: ++seq,
    at: "2026-01-01T00:00:00.000Z",
    step,
    kind,
    phase: "migrate",
    previous: "",
    hash: "",
    ...extra,
});

describe("the state of a step", () => {
    it("is clean before it is begun and after it was taken back", () => {
        expect(stepState([], "dump").state).to.equal("clean");
        expect(
            stepState(
                [record("dump", "intent"), record("dump", "done"), record("dump", "undo"), record("dump", "undone")],
                "dump",
            ).state,
        ).to.equal("clean");
    });

    it("is begun after a failure, and while taking back was interrupted", () => {
        expect(stepState([record("dump", "intent"), record("dump", "failed")], "dump").state).to.equal("begun");
        expect(
            stepState([record("dump", "intent"), record("dump", "done"), record("dump", "undo")], "dump").state,
        ).to.equal("begun");
    });

    it("forgets parts that were done before it was taken back", () => {
        const records = [
            record("dump", "intent"),
            record("dump", "action", { action: "part", result: 1 }),
            record("dump", "undone"),
            record("dump", "intent"),
        ];
        expect([...stepState(records, "dump").actions]).to.deep.equal([]);
    });

    it("lists what a phase left, the last begun first, and nothing of other phases", () => {
        const records = [
            record("secrets", "intent", { phase: "stage" }),
            record("fence", "intent"),
            record("fence", "done"),
            record("dump", "intent"),
            record("dump", "failed"),
            record("canary", "intent"),
            record("canary", "undone"),
        ];
        expect(stepsToUndo(records, "migrate")).to.deep.equal(["dump", "fence"]);
    });
});
