import { expect } from "chai";
import fc from "fast-check";
import { calibrationOf, coefficients, predict, type CopyMode, type Move } from "../../../engine/assess/sizeModel.ts";

const modes: readonly CopyMode[] = ["archive", "direct", "replicate", "import"];
/** Up to 10 TB. */
const bytes = fc.integer({ min: 0, max: 10_000_000 }).map((megabytes) => megabytes * 1e6);
const cores = fc.integer({ min: 1, max: 64 });
const network = fc.integer({ min: 1, max: 10_000 }).map((megabytes) => megabytes * 1e6);
const moves: fc.Arbitrary<Move> = fc.record({
    mode: fc.constantFrom(...modes),
    databaseBytes: bytes,
    mediaBytes: bytes,
    sourceCores: cores,
    targetCores: cores,
    sameMachine: fc.boolean(),
    jobs: cores,
    networkBytesPerSecond: network,
    strict: fc.boolean(),
});
const downtime = (move: Move): number => predict(move).downtimeSeconds;
const slack = 1e-6;

describe("the size model", () => {
    it("foresees no shorter downtime for more data", () => {
        fc.assert(
            fc.property(moves, bytes, bytes, (move, database, media) => {
                const more = {
                    ...move,
                    databaseBytes: move.databaseBytes + database,
                    mediaBytes: move.mediaBytes + media,
                };
                expect(downtime(more)).to.be.at.least(downtime(move) - slack);
                expect(predict(more).beforeSeconds).to.be.at.least(predict(move).beforeSeconds - slack);
            }),
        );
    });

    it("foresees no longer downtime with more cores, more jobs, or a faster network", () => {
        fc.assert(
            fc.property(moves, cores, network, (move, added, faster) => {
                const better: Partial<Move>[] = [
                    { sourceCores: move.sourceCores + added },
                    { targetCores: move.targetCores + added },
                    { jobs: move.jobs + added },
                    { networkBytesPerSecond: (move.networkBytesPerSecond ?? 0) + faster },
                ];
                for (const change of better)
                    expect(downtime({ ...move, ...change })).to.be.at.most(downtime(move) + slack);
            }),
        );
    });

    it("foresees a downtime of replication that does not depend on the database", () => {
        fc.assert(
            fc.property(moves, bytes, (move, databaseBytes) => {
                const replicated: Move = { ...move, mode: "replicate", strict: false };
                expect(downtime({ ...replicated, databaseBytes })).to.equal(downtime(replicated));
            }),
        );
    });

    it("adds up to the downtime", () => {
        fc.assert(
            fc.property(moves, (move) => {
                const { parts, downtimeSeconds } = predict(move);
                const sum = Object.values(parts).reduce((total, seconds) => total + seconds, 0);
                expect(sum).to.be.closeTo(downtimeSeconds, slack * sum);
                for (const seconds of Object.values(parts)) expect(seconds).to.be.at.least(0);
            }),
        );
    });

    const gigabyte: Move = {
        ...{
            mode: "direct",
            databaseBytes: 1.3e9,
            mediaBytes: 0,
            sourceCores: 2,
            targetCores: 2,
            sameMachine: false,
            jobs: 2,
        },
    };

    it("moves no database faster than its largest index is built", () => {
        const huge = { ...gigabyte, databaseBytes: 1e12, sourceCores: 64, targetCores: 64, jobs: 64 };
        const { indexShare, index, largestIndex, parallelIndex } = coefficients;
        const serial = ((huge.databaseBytes * indexShare * largestIndex) / index) * (1 - parallelIndex);
        expect(predict(huge).parts.indexes).to.be.above(serial);
        expect(predict({ ...huge, targetCores: 8, jobs: 8 }).parts.indexes).to.be.above(predict(huge).parts.indexes);
    });

    it("names what holds up the rows", () => {
        const held = (change: Partial<Move>): string => predict({ ...gigabyte, ...change }).bottleneck;
        expect(held({ networkBytesPerSecond: 1e6 })).to.equal("network");
        expect(held({ sameMachine: true })).to.equal("processors");
        expect(held({ targetCores: 1, sourceCores: 16, jobs: 16 })).to.equal("target processors");
        expect(held({ targetCores: 16, sourceCores: 1, jobs: 16 })).to.equal("source processors");
        expect(held({ mode: "import", targetCores: 16, jobs: 16 })).to.equal("one stream");
    });

    it("dumps before it restores, where a direct copy does both at once", () => {
        expect(downtime({ ...gigabyte, mode: "archive" })).to.be.above(downtime(gigabyte));
    });

    it("compares every row within the downtime of replication only when that is asked for", () => {
        const replicated: Move = { ...gigabyte, mode: "replicate" };
        expect(predict(replicated).parts.verification).to.equal(0);
        expect(predict({ ...replicated, strict: true }).parts.verification).to.be.above(0);
    });

    it("takes twice as long for rows and indexes on a target of half the speed", () => {
        const { reference } = coefficients;
        const half = calibrationOf({ copyIn: reference.copyIn / 2, index: reference.index / 2 });
        const slow: Move = { ...gigabyte, targetCores: 1, sourceCores: 16, jobs: 16 };
        const [fast, slower] = [predict(slow), predict(slow, half)];
        expect(slower.parts.rows).to.be.closeTo(fast.parts.rows * 2, slack);
        expect(slower.parts.indexes).to.be.closeTo(fast.parts.indexes * 2, slack);
        expect(slower.parts.fixed).to.equal(fast.parts.fixed);
    });
});
