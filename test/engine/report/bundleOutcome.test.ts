import { expect } from "chai";
import { factsOf } from "../../../engine/report/collect.ts";
import { outcomeOf } from "../../../engine/report/outcome.ts";
import { done, instantAfter, journal, type Line } from "./fixtures.ts";

const outcome = (lines: readonly Line[]) =>
    outcomeOf(factsOf({ run: { id: "a", directory: "/a" }, phase: "cutover", environment: {} }, journal(lines), []));

const staged = done("prepare-bundle", 0, 1).map((line) => ({ ...line, phase: "stage" as const }));
const fenced = [...staged, ...done("fence", 10, 2, { fencedAt: instantAfter(10) })];
const verified = [...fenced, ...done("verify-bundle", 20, 2, { passed: 7, warnings: [], notRun: [] })];

describe("the outcome of a bundle", () => {
    it("is not proven before all of it was read again", () => {
        expect(outcome(fenced).state).to.equal("under-way");
        expect(outcome(fenced).sentences[0]).to.include("verify-bundle not done yet");
    });

    it("is proven by reading it again, and tells of no gateway", () => {
        const { state, headline, sentences } = outcome(verified);
        expect([state, headline]).to.deep.equal(["proven", "The bundle is proven whole"]);
        expect(sentences.join(" ")).to.include("declaring the phase `stage`").and.not.include("gateway");
    });

    it("tells that the source must never serve again once it is handed over", () => {
        const handedOver = done("hand-over", 30, 1, { handedOverAt: instantAfter(31) });
        const { sentences } = outcome([
            ...verified,
            ...handedOver.map((line) => ({ ...line, phase: "cutover" as const })),
        ]);
        expect(sentences.join(" ")).to.include("The bundle is handed over").and.include("must never serve again");
    });
});
