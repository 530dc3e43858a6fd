import { execFileSync } from "node:child_process";
import { expect } from "chai";
import fc from "fast-check";
import { eventsOf, shapeOf } from "../../bench/data/shape.ts";
import { rotated } from "../../bench/frame.ts";
import { endedChildrenSeconds, familySeconds, ownSeconds } from "../../bench/processor.ts";
import { goalsOf, reached } from "../../bench/results/goals.ts";
import { barChart } from "../../bench/results/barChart.ts";
import { modelChart } from "../../bench/results/modelChart.ts";
import { benchResult, type BenchResult, type MeasuredMethod, type Measurement } from "../../bench/results/results.ts";
import { spread } from "../../bench/results/statistics.ts";
import { describeResult, mediaSshTable, methodTable } from "../../bench/results/tables.ts";

const run = (
    seconds: number,
    parts: Record<string, number> = {},
): { seconds: number; parts: Record<string, number> } => ({ seconds, parts });
const measured = (
    id: string,
    title: string,
    runs: Measurement[],
    more: Partial<MeasuredMethod> = {},
): MeasuredMethod => ({ id, title, runs, processor: [], statistics: [], checks: [], ...more });
const result: BenchResult = {
    ...{ format: 1, at: "2026-11-21T12:00:00.000Z", jobs: 2, rounds: 3 },
    machine: { cores: 2, model: "a processor", memoryBytes: 8 * 2 ** 30 },
    versions: { PostgreSQL: "15.18" },
    calibration: { copyIn: 100e6, index: 30e6 },
    sizes: [
        {
            events: 1000,
            databaseBytes: 300e6,
            methods: [],
            strictDowntime: [],
            downtime: [{ before: {}, downtime: { checks: 0.2 }, seconds: 0.5, events: 400, errors: 0 }],
        },
        {
            ...{ events: 4000, databaseBytes: 1.2e9 },
            methods: [
                measured("a1", "gzip | psql", [run(40), run(38), run(42)], { checks: [3, 3, 3] }),
                measured("a2", "gpg", [run(60, { dump: 35, restore: 25 })], { checks: [3] }),
                measured("directory", "pg_dump -Fd", [run(10.5)], {
                    statistics: [2.5],
                    processor: [{ source: 3, target: 7, programs: 1.25 }],
                }),
                measured("direct", "copy: direct", [{ ...run(10), peakBytes: 100 * 2 ** 20 }], { checks: [2] }),
                measured("load", "loader", [run(20)]),
                measured("pgcopydb", "pgcopydb", [], { missing: "not installed" }),
            ],
            limits: { copyOut: 2, copyIn: 6, hashes: 4, indexes: 4, rowBytes: 600e6, indexBytes: 400e6 },
            downtime: [
                {
                    before: { all: 20 },
                    downtime: { checks: 0.3, "last change": 0.4 },
                    seconds: 0.9,
                    events: 800,
                    errors: 0,
                    peakBytes: 2 ** 28 + 2 ** 20,
                },
            ],
            strictDowntime: [{ before: {}, downtime: { rows: 7 }, seconds: 8, events: 100, errors: 0 }],
        },
    ],
};

describe("what the bench prints", () => {
    it("takes the middle run, and the mean of two in the middle", () => {
        expect(spread([3, 1, 2])).to.deep.equal({ median: 2, min: 1, max: 3 });
        expect(spread([4, 1, 2, 3]).median).to.equal(2.5);
        expect(() => spread([])).to.throw("no values");
    });

    it("has a median between the fastest and the slowest run", () => {
        fc.assert(
            fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }), (values) => {
                const { median, min, max } = spread(values);
                expect(median).to.be.at.least(min).and.at.most(max);
            }),
        );
    });

    it("counts a child's processor time while it runs and once it has ended", async () => {
        const before = await familySeconds(process.pid);
        const endedBefore = await endedChildrenSeconds(process.pid);
        // Two tenths of a second of work, counted in hundredths.
        execFileSync(process.execPath, [
            "-e",
            "const end = process.cpuUsage().user + 2e5; while (process.cpuUsage().user < end);",
        ]);
        expect(await endedChildrenSeconds(process.pid)).to.be.at.least(endedBefore + 0.19);
        expect(await familySeconds(process.pid)).to.be.at.least(before + 0.19);
        expect(await ownSeconds(process.pid)).to.be.greaterThan(0);
    });

    it("begins each round with another way, and leaves none out", () => {
        expect([0, 1, 2, 3].map((round) => rotated(["a", "b", "c"], round).join(""))).to.deep.equal([
            "abc",
            "bca",
            "cab",
            "abc",
        ]);
        expect(rotated([], 2)).to.deep.equal([]);
    });

    it("says how many times as fast each way is, and why one was not measured", () => {
        const [, , ...rows] = methodTable({ methods: result.sizes[1]?.methods ?? [], databaseBytes: 1.2e9 }).split(
            "\n",
        );
        expect(rows[0]).to.contain("| 40.0 | 38.0..42.0 | 30 | 1.00× | 1.50× |");
        expect(rows[2]).to.contain("| 11.3: source 3.0, target 7.0, programs 1.3 | 2.5 |");
        expect(rows[3]).to.contain("| 10.0 |").and.contain("| 4.00× | 6.00× |").and.contain("| 100 | 2.0 |");
        expect(rows[5]).to.contain("not installed");
        expect(rows[0]).to.contain("gzip \\| psql");
    });

    it("tells the limit of the machine and what each way reaches of it", () => {
        const text = describeResult(result);
        expect(text).to.contain("The machine's limit is 6.0 s").and.contain("a1 15 %, a2 10 %, direct 60 %");
        expect(text).to.contain("processors at work for 80 % of its time");
        expect(text).to.contain("100 MB/s of rows and 30 MB/s of an index");
        expect(text)
            .to.contain("The writer made 800 events and met 0 errors.")
            .and.contain("| downtime: last change | 0.40 |");
    });

    it("compares with the goals of the same run, and says nothing about what was not measured", () => {
        const goals = new Map(goalsOf(result).map((goal) => [goal.title, goal]));
        const verdict = (title: string): boolean | undefined => {
            const goal = goals.get(title);
            if (goal === undefined) throw new Error(`no goal ${title}`);
            return reached(goal);
        };
        expect(verdict("direct copy against a1")).to.equal(true);
        expect(verdict("direct copy against pgcopydb")).to.equal(undefined);
        expect(verdict("direct copy against pg_dump -Fd and pg_restore")).to.equal(false);
        expect(goals.get("the same, statistics collected on both sides")?.found).to.equal(1.3);
        expect(goals.get("replicate with every row compared: downtime as a share of a1")?.found).to.equal(20);
        expect(verdict("replicate: database part of the downtime")).to.equal(true);
        expect(goals.get("replicate: downtime against that of the smallest size")?.found).to.equal(1.8);
        expect(verdict("replicate: downtime against that of the smallest size")).to.equal(false);
        expect(verdict("encrypted plain dump against gpg | gunzip | psql")).to.equal(true);
        expect(goals.get("comparing every row, as a share of the direct copy")?.found).to.equal(20);
        expect(verdict("peak memory of our process")).to.equal(false);
        expect(goalsOf({ ...result, sizes: [] })).to.deep.equal([]);
        expect(describeResult(result)).not.to.contain("against pgcopydb");
    });

    it("draws every way that was measured, with its spread, and escapes titles", () => {
        const chart = barChart("a & b", [
            { title: "slow <1>", values: [4, 2, 3], ours: false },
            { title: "fast", values: [1], ours: true },
            { title: "unmeasured", values: [], ours: true },
        ]);
        expect(chart.match(/<rect /g)).to.have.length(3);
        expect(chart)
            .to.contain("slow &lt;1&gt;")
            .and.contain("a &amp; b")
            .and.contain("3.0 s")
            .and.not.contain("unmeasured");
    });

    it("draws the model's curves inside of the picture, and a dot for each measured size", () => {
        const chart = modelChart(result);
        expect(chart.match(/<circle /g)).to.have.length(4);
        for (const [, x = "", y = ""] of chart.matchAll(/(-?[\d.]+),(-?[\d.]+)/g)) {
            expect(Number(x)).to.be.at.least(0).and.at.most(900);
            expect(Number(y)).to.be.at.least(0).and.at.most(520);
        }
        expect(chart).not.to.contain("NaN");
    });

    it("reads its own JSON back", () => {
        expect(benchResult.parse(JSON.parse(JSON.stringify(result)))).to.deep.equal(result);
    });
});

describe("sizes of generated homeservers", () => {
    it("have names, or are numbers of events", () => {
        expect([eventsOf("S"), eventsOf("L"), eventsOf("1500")]).to.deep.equal([50_000, 200_000, 1500]);
        for (const wrong of ["M", "", "99", "-5", "1e4"]) expect(() => eventsOf(wrong)).to.throw("a size is");
    });

    it("have state groups for every fourth event, whatever the number of rooms", () => {
        fc.assert(
            fc.property(fc.integer({ min: 100, max: 10_000_000 }), (events) => {
                const { rooms, groupsPerRoom } = shapeOf(events);
                expect(rooms * groupsPerRoom)
                    .to.be.at.least(events / 4)
                    .and.at.most(events / 4 + rooms);
            }),
        );
    });
});

describe("the table of media over ssh", () => {
    it("tells both passes of each way, by the clock and by the processor, beside rsync", () => {
        const pass = (seconds: number, processor: number) => ({ seconds, processor });
        const ways = [
            { way: "ours", first: { ...pass(5, 4), peakBytes: 2 ** 27 }, unchanged: pass(1, 1) },
            { way: "rsync", first: pass(10, 8), unchanged: pass(2, 0.5) },
            { way: "rsync --fsync", first: pass(20, 8), unchanged: pass(2, 0.5) },
        ].map(({ way, ...run }) => ({ way, runs: [run] }));
        const lines = mediaSshTable({ files: 100, bytes: 5e6, ways }).split("\n");
        expect(lines).to.include("| ours, everything new | 5.00 | 5.00..5.00 | 2.00× | 4.00× | 4.0 | 2.00× | 128 |");
        expect(lines).to.include("| ours, nothing changed | 1.00 | 1.00..1.00 | 2.00× | 2.00× | 1.0 | 0.50× | – |");
    });
});
