import { expect } from "chai";
import fc from "fast-check";
import { RateLimit } from "../../../engine/run/rateLimit.ts";

describe("the limit of a rate", () => {
    it("lets nothing wait that is below the rate", () => {
        let now = 100;
        const limit = new RateLimit(1000, () => now);
        for (let second = 0; second < 20; second += 1) {
            expect(limit.delay(900)).to.equal(0);
            now += 1;
        }
    });

    it("is never exceeded by more than a burst, whatever comes when", () => {
        const pieces = fc.array(
            fc.tuple(fc.integer({ min: 1, max: 5000 }), fc.double({ min: 0, max: 3, noNaN: true })),
        );
        fc.assert(
            fc.property(pieces, (sent) => {
                let now = 0;
                let bytes = 0;
                let largest = 0;
                const limit = new RateLimit(1000, () => now);
                for (const [size, pause] of sent) {
                    now += pause;
                    now += limit.delay(size);
                    // What passes is there when its turn has come: one piece may be under way.
                    expect(bytes).to.be.at.most(1000 * (now + 0.25) + 1e-6);
                    bytes += size;
                    largest = Math.max(largest, size);
                }
                expect(bytes).to.be.at.most(1000 * (now + 0.25) + largest + 1e-6);
            }),
        );
    });

    it("is a number above zero", () => {
        for (const rate of [0, -1, NaN]) expect(() => new RateLimit(rate)).to.throw(RangeError);
    });

    it("stops waiting when the copy is stopped", async () => {
        const limit = new RateLimit(1);
        const stop = new AbortController();
        limit.delay(1000);
        const waiting = limit.pass(1, stop.signal).catch((error: unknown) => error);
        stop.abort();
        expect(await waiting)
            .to.be.an("error")
            .with.property("name", "AbortError");
    });
});
