import { expect } from "chai";
import fc from "fast-check";
import { markup } from "../../../engine/report/markup.ts";
import { formatBytes, formatCount, formatSeconds } from "../../../engine/report/quantities.ts";
import { timeScale } from "../../../engine/report/timeScale.ts";
import { runRecord } from "../../../engine/report/reportRecord.ts";
import { stepsOf } from "../../../engine/report/attempts.ts";
import { timeline } from "../../../engine/report/timeline.ts";
import { factsOf } from "../../../engine/report/collect.ts";
import { outcomeOf } from "../../../engine/report/outcome.ts";
import { done, journal, migrated } from "./fixtures.ts";

const plain = (text: string): string => text.replaceAll("\u00a0", " ");

describe("quantities", () => {
    it("writes durations in the two units that matter", () => {
        const written = [0.04, 12.34, 59.96, 245, 7380, 273_600].map((seconds) => plain(formatSeconds(seconds)));
        expect(written).to.deep.equal(["0.0 s", "12.3 s", "1 min 00 s", "4 min 05 s", "2 h 03 min", "3 d 4 h"]);
    });

    it("writes counts in groups and sizes in binary units", () => {
        expect([0, 999, 1000, 1_234_567].map((count) => plain(formatCount(count)))).to.deep.equal([
            "0",
            "999",
            "1 000",
            "1 234 567",
        ]);
        expect([512, 1536, 763_363_328].map((bytes) => plain(formatBytes(bytes)))).to.deep.equal([
            "512 B",
            "1.5 KiB",
            "728.0 MiB",
        ]);
    });
});

describe("markup", () => {
    it("lets no text out of its place, be it element or attribute", () => {
        fc.assert(
            fc.property(fc.string({ unit: "binary" }), (text) => {
                const inside = markup`<b title="${text}">${[text, undefined]}</b>`.text.slice(
                    '<b title="'.length,
                    -"</b>".length,
                );
                expect(inside.replace('">', "")).not.to.match(/[<>"']/);
            }),
        );
    });
});

describe("the scale of the timeline", () => {
    const instants = fc.array(fc.tuple(fc.nat(1e9), fc.nat(1e6)), { minLength: 1, maxLength: 20 });

    it("keeps the order of all instants and stays between 0 and 100", () => {
        fc.assert(
            fc.property(instants, (spans) => {
                const scale = timeScale(spans.map(([from, length]) => ({ from, until: from + length })));
                const points = spans.flatMap(([from, length]) => [from, from + length]).sort((a, b) => a - b);
                const positions = points.map((point) => scale?.position(point) ?? NaN);
                expect(positions).to.deep.equal([...positions].sort((a, b) => a - b));
                for (const position of positions) expect(position).to.be.within(-1e-6, 100 + 1e-6);
            }),
        );
    });

    it("draws a night between two steps short, and says how long it was", () => {
        const night = 8 * 3_600_000;
        const scale = timeScale([
            { from: 0, until: 60_000 },
            { from: 60_000 + night, until: 120_000 + night },
        ]);
        expect(scale?.pauses.map(({ from, until }) => until - from)).to.deep.equal([night]);
        expect(scale?.position(60_000)).to.be.within(45, 50);
    });

    it("is none without steps", () => expect(timeScale([])).to.equal(undefined));
});

describe("the timeline", () => {
    const drawn = (): string => {
        const facts = factsOf(
            { run: { id: "a", directory: "/a" }, phase: "cutover", environment: {} },
            journal(migrated),
            [],
        );
        return timeline(runRecord.parse({ ...facts, outcome: outcomeOf(facts) }))?.text ?? "";
    };

    it("has a title and tells in words what it shows", () => {
        expect(drawn()).to.contain('aria-labelledby="timeline-title timeline-desc"');
        expect(plain(drawn())).to.contain("restore: failed once, then done in 11.9 s.");
    });

    it("has a bar for each attempt, a group for each phase, and leaves out guards that only stood by", () => {
        const bars = drawn().match(/class="bar /g) ?? [];
        const attempts = stepsOf(journal(migrated)).flatMap((step) =>
            step.name.startsWith("guard-") ? [] : step.attempts,
        );
        expect(bars).to.have.length(attempts.length);
        expect([...drawn().matchAll(/class="phase"[^>]*>(\w+)/g)].map(([, phase]) => phase)).to.deep.equal([
            "assess",
            "stage",
            "migrate",
            "cutover",
        ]);
        expect(drawn()).not.to.contain("guard-stage");
    });

    it("keeps every bar inside, however short the step at the end", () => {
        for (const [, x = "", width = ""] of drawn().matchAll(/class="bar[^"]*" x="([\d.]+)%" width="([\d.]+)%"/g)) {
            expect(Number(x) + Number(width)).to.be.at.most(100.011);
        }
    });
});

describe("attempts", () => {
    it("reads a lone end as an attempt that began when it ended", () => {
        const [step] = stepsOf(journal(done("assess", 3, 1).slice(1)));
        expect(step).to.include({ state: "done" });
        expect(step?.attempts).to.have.length(1);
    });
});
