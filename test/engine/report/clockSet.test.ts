import { expect } from "chai";
import { factsOf } from "../../../engine/report/collect.ts";
import { htmlReport } from "../../../engine/report/html.ts";
import { markdownReport } from "../../../engine/report/markdown.ts";
import { outcomeOf } from "../../../engine/report/outcome.ts";
import { runRecord, type RunRecord } from "../../../engine/report/reportRecord.ts";
import { clockShifts } from "../../../engine/run/steadyClock.ts";
import { instantAfter, journal, migrated, type Line } from "./fixtures.ts";

const plain = (text: string): string => text.replaceAll("\u00a0", " ");

/** The lines of a run on a machine whose clock is wrong by that much until a moment, when it is set right. */
function withClockSetAt(lines: readonly Line[], moment: number, wrongBy: number, knowsUptime = true): RunRecord {
    const wrong = (after: number): string => instantAfter(after < moment ? after + wrongBy : after);
    const records = journal(
        lines.map((line) => ({
            ...line,
            at: wrong(line.after),
            ...(knowsUptime ? { uptime: { boot: "one", seconds: 5000 + line.after } } : {}),
            ...(line.step === "fence" && line.kind === "done"
                ? { result: { ...(line.result as object), fencedAt: wrong(line.after - 2.7) } }
                : {}),
        })),
    );
    const facts = factsOf({ run: { id: "r1", directory: "/run" }, phase: "cutover", environment: {} }, records, []);
    return runRecord.parse({ ...facts, outcome: outcomeOf(facts) });
}

/** Between the restore and the verification, with the source stopped. */
const between = 3632.95;
const [undisturbed] = [withClockSetAt(migrated, 0, 0)];

describe("a move during which the machine's clock is set (P52, F17)", () => {
    for (const wrongBy of [3600, -3600, 300, -86_400 * 365, 7]) {
        it(`tells the same durations and instants as one that is left alone: by ${-wrongBy} s`, () => {
            const run = withClockSetAt(migrated, between, wrongBy);
            expect(run.downtime).to.deep.equal(undisturbed.downtime);
            expect(run.downtime[0]?.seconds).to.be.closeTo(50.7, 0.01);
            expect(run.steps).to.deep.equal(undisturbed.steps);
            expect(run.clockSet).to.deep.equal([{ before: instantAfter(3633), seconds: -wrongBy }]);
        });
    }

    it("says that it was set, when and by how much", () => {
        const run = withClockSetAt(migrated, between, -3600);
        for (const report of [markdownReport(run), htmlReport(run)])
            expect(plain(report)).to.match(/The machine.{1,6}s clock was set 1 h 00 min forward, before /);
        expect(undisturbed.clockSet).to.deep.equal([]);
        for (const report of [markdownReport(undisturbed), htmlReport(undisturbed)])
            expect(report).not.to.contain("clock was set");
    });

    it("never tells a negative or endless duration where only the time of day is known, and the clock went back", () => {
        const run = withClockSetAt(migrated, between, 3600, false);
        const seconds = run.steps.flatMap(({ attempts }) => attempts.map((attempt) => attempt.seconds));
        expect([...seconds, run.downtime[0]?.seconds ?? -1].every((value) => value >= 0 && value < 60)).to.equal(true);
        expect(run.clockSet.map(({ seconds: by }) => by < -3590)).to.deep.equal([true]);
    });

    it("takes what an earlier version has written down as it is where the clock went forward: nobody can tell", () => {
        const run = withClockSetAt(migrated, between, -3600, false);
        expect(run.clockSet).to.deep.equal([]);
        expect(run.downtime[0]?.seconds).to.be.closeTo(3650.7, 0.01);
    });
});

describe("shifts between readings of two clocks", () => {
    const at = instantAfter;
    const up = (seconds: number, boot = "one") => ({ boot, seconds });

    it("are none for a clock that is kept in time little by little, and none for a machine that slept", () => {
        const readings = [
            { at: at(0), uptime: up(10) },
            { at: at(60.9), uptime: up(70) },
            { at: at(36_000), uptime: up(36_009.5) },
        ];
        expect(clockShifts(readings)).to.deep.equal([0, 0, 0]);
    });

    it("leave the time between two boots alone, unless it went backwards", () => {
        expect(
            clockShifts([
                { at: at(0), uptime: up(900) },
                { at: at(500), uptime: up(20, "two") },
            ]),
        ).to.deep.equal([0, 0]);
        expect(
            clockShifts([
                { at: at(500), uptime: up(900) },
                { at: at(0), uptime: up(20, "two") },
            ]),
        ).to.deep.equal([-500_000, 0]);
        // A container that was started anew counts from its own start.
        expect(
            clockShifts([
                { at: at(0), uptime: up(900) },
                { at: at(500), uptime: up(20) },
            ]),
        ).to.deep.equal([0, 0]);
    });

    it("add up", () => {
        const readings = [
            { at: at(0), uptime: up(0) },
            { at: at(110), uptime: up(10) },
            { at: at(70), uptime: up(20) },
        ];
        expect(clockShifts(readings)).to.deep.equal([50_000, -50_000, 0]);
    });
});
