import { expect } from "chai";
import fc from "fast-check";
import {
    repairedPosition,
    type SequenceState,
    type StreamPosition,
    type StreamUse,
} from "../../../../engine/postgres/sequences/sequencePosition.ts";

const at = (lastValue: bigint, isCalled = true): SequenceState => ({ lastValue, isCalled });
const up = (furthest: bigint | undefined): StreamUse => ({ table: "t", column: "id", direction: "up", furthest });
const down = (furthest: bigint | undefined): StreamUse => ({ ...up(furthest), direction: "down" });
const position = (value: bigint): StreamPosition => ({ stream: "s", instance: "master", position: value });

describe("repairedPosition", () => {
    it("leaves a sequence alone when it is ahead of everything", () => {
        expect(repairedPosition(at(10n), [up(9n)], [position(8n)])).to.equal(undefined);
    });

    it("leaves a sequence alone that stands exactly where its table does", () => {
        expect(repairedPosition(at(10n), [up(10n)], [])).to.equal(undefined);
    });

    it("moves a sequence past the highest of all its tables", () => {
        expect(repairedPosition(at(5n), [up(4n), up(12n), up(undefined)], [])).to.equal(12n);
    });

    it("moves a sequence past a stream position that no row reaches any more", () => {
        expect(repairedPosition(at(5n), [up(5n)], [position(7n), position(6n)])).to.equal(7n);
    });

    it("counts a last value that was not called as not handed out", () => {
        expect(repairedPosition(at(7n, false), [up(7n)], [])).to.equal(7n);
    });

    it("compares streams that count down by magnitude", () => {
        expect(repairedPosition(at(5n), [down(-9n)], [position(-3n)])).to.equal(9n);
        expect(repairedPosition(at(9n), [down(-9n)], [position(-9n)])).to.equal(undefined);
    });

    it("takes the ids above zero in the column of a stream that counts down for another stream's", () => {
        expect(repairedPosition(at(1n), [down(4000n)], [])).to.equal(undefined);
    });

    it("repairs a used sequence that is not called, as Synapse takes its next number for seen", () => {
        expect(repairedPosition(at(13n, false), [up(12n)], [])).to.equal(12n);
        expect(repairedPosition(at(50n, false), [up(12n)], [])).to.equal(49n);
    });

    it("leaves the sequence of a stream alone that was never used", () => {
        expect(repairedPosition(at(1n, false), [up(undefined)], [])).to.equal(undefined);
        expect(repairedPosition(at(2n, false), [up(undefined)], [position(1n)])).to.equal(undefined);
    });

    const id = fc.bigInt({ min: 1n, max: 1n << 62n });
    const uses = fc.array(fc.option(id, { nil: undefined }).map(up), { maxLength: 4 });
    const positions = fc.array(id.map(position), { maxLength: 3 });
    const sequence = fc.record({ lastValue: id, isCalled: fc.boolean() });

    it("never lets an id be handed out twice, and asks for no repair after the repair", () => {
        fc.assert(
            fc.property(sequence, uses, positions, (state, tables, streams) => {
                const repaired = repairedPosition(state, tables, streams);
                const after = repaired === undefined ? state : at(repaired);
                const next = after.isCalled ? after.lastValue + 1n : after.lastValue;
                const used = [...tables.map(({ furthest = 0n }) => furthest), ...streams.map((row) => row.position)];
                expect(used.every((value) => next > value)).to.equal(true);
                expect(repairedPosition(after, tables, streams)).to.equal(undefined);
            }),
        );
    });

    it("never moves the next id back, and gives the smallest value that is enough", () => {
        fc.assert(
            fc.property(sequence, uses, positions, (state, tables, streams) => {
                const repaired = repairedPosition(state, tables, streams);
                if (repaired === undefined) return;
                const nextBefore = state.isCalled ? state.lastValue + 1n : state.lastValue;
                expect(repaired + 1n >= nextBefore).to.equal(true);
                const less = repairedPosition(at(repaired - 1n), tables, streams);
                expect(less === repaired || repaired === nextBefore - 1n).to.equal(true);
            }),
        );
    });
});
