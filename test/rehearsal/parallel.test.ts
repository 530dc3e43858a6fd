import { expect } from "chai";
import { inParallel, parallelism } from "../../rehearsal/source/population/parallel.ts";
import { Chance } from "../../rehearsal/source/population/random.ts";
import { Timings } from "../../rehearsal/timings.ts";
import { lineProgress } from "../../engine/run/progress.ts";

describe("filling a few things at a time", () => {
    it("keeps the order and never does more at once than it may", async () => {
        let running = 0;
        let most = 0;
        const results = await inParallel(
            Array.from({ length: 20 }, (_, index) => index),
            async (item) => {
                most = Math.max(most, ++running);
                await new Promise((resolve) => setTimeout(resolve, (item * 7) % 5));
                running--;
                return item * 2;
            },
        );
        expect(results).to.deep.equal(Array.from({ length: 20 }, (_, index) => index * 2));
        expect(most).to.equal(parallelism);
    });

    it("begins nothing new after a failure, waits for the rest, and throws the first", async () => {
        const done: number[] = [];
        const work = inParallel([0, 1, 2, 3, 4, 5, 6, 7], async (item) => {
            await new Promise((resolve) => setTimeout(resolve, item === 0 ? 1 : 10));
            if (item === 0) throw new Error("first");
            done.push(item);
        });
        const error: unknown = await work.then(() => undefined).catch((reason: unknown) => reason);
        expect(String(error)).to.equal("Error: first");
        expect(done).to.deep.equal([1, 2, 3]);
    });

    it("comes out the same for the same seed, whoever asks first", () => {
        const [one, other] = [new Chance("seed"), new Chance("seed")];
        const first = [one.word("a", 8), one.integer("b", 100), one.stream("c", 100)];
        const last = [other.stream("c", 100), other.integer("b", 100), other.word("a", 8)].reverse();
        expect(first).to.deep.equal(last);
        expect(new Chance("another").word("a", 8)).not.to.equal(first[0]);
        expect(() => one.pick("nothing", [])).to.throw(RangeError);
    });
});

describe("the timings of a rehearsal", () => {
    it("name every part, the failed one too, and the sum", async () => {
        const timings = new Timings(lineProgress("t", () => undefined, String));
        await timings.during("first", () => Promise.resolve());
        await timings.during("second", () => Promise.reject(new Error("no"))).catch(() => undefined);
        expect(timings.table().replaceAll(/ +\d+\.\d s/g, "")).to.equal("first\nsecond (failed)\ntotal");
    });
});
