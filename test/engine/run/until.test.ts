import { setImmediate as turn } from "node:timers/promises";
import { expect } from "chai";
import { until } from "../../../engine/run/until.ts";

const outcome = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);
const never = (): string | undefined => undefined;
/** Turns of the event loop first: mocha sets a timer of its own when a test has returned its promise. */
const timers = async (): Promise<number> => {
    await turn();
    return process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
};
const secondsOf = async (work: Promise<unknown>): Promise<number> => {
    const began = performance.now();
    await outcome(work);
    return (performance.now() - began) / 1000;
};

describe("a wait", () => {
    it("returns what is there at the first try, without a pause, and also when there is no time", async () => {
        let tries = 0;
        const probe = (): string => {
            tries += 1;
            return "there";
        };
        expect(await secondsOf(until(probe, { seconds: 60, everyMilliseconds: 60_000 }))).to.be.below(1);
        expect(await until(probe, { seconds: 0 })).to.equal("there");
        expect(tries).to.equal(2);
    });

    it("takes any value but undefined for an answer", async () => {
        for (const value of [0, "", false, null]) expect(await until(() => value, { seconds: 0 })).to.equal(value);
    });

    it("probes until there is a value, with a pause after each probe, and not twice at once", async () => {
        let [tries, underWay] = [0, 0];
        const began = performance.now();
        const found = await until(
            async () => {
                expect(underWay++).to.equal(0);
                await Promise.resolve();
                underWay -= 1;
                return ++tries === 4 ? tries : undefined;
            },
            { seconds: 60, everyMilliseconds: 20 },
        );
        expect(found).to.equal(4);
        expect(performance.now() - began).to.be.within(3 * 19, 5000);
    });

    it("ends with the caller's error when the time is over, or with undefined when it has none", async () => {
        const late = new Error("it did not come");
        const wait = { seconds: 0.05, everyMilliseconds: 10 };
        expect(await outcome(until(never, wait, () => late))).to.equal(late);
        expect(await outcome(until(never, wait, () => Promise.resolve(late)))).to.equal(late);
        expect(await until(never, wait)).to.equal(undefined);
    });

    it("probes once more when the time is over, and does not sleep beyond it", async () => {
        const end = performance.now() + 50;
        const found = until(() => (performance.now() >= end ? "just in time" : undefined), {
            seconds: 0.06,
            everyMilliseconds: 60_000,
        });
        expect(await found).to.equal("just in time");
        expect(performance.now() - end).to.be.below(5000);
    });

    it("probes exactly once when there is no time", async () => {
        let tries = 0;
        const probe = (): undefined => {
            tries += 1;
            return undefined;
        };
        await until(probe, { seconds: 0, everyMilliseconds: 1 });
        expect(tries).to.equal(1);
    });

    it("ends at once with the reason when it is aborted, and leaves no timer", async () => {
        const before = await timers();
        const reason = new Error("told to stop");
        const stop = new AbortController();
        const waiting = outcome(until(never, { seconds: 60, everyMilliseconds: 60_000, signal: stop.signal }));
        expect(await timers()).to.equal(before + 1);
        stop.abort(reason);
        expect(await waiting).to.equal(reason);
        expect(await timers()).to.equal(before);
    });

    it("does not pause or probe again when it was aborted during a probe, but returns what that has found", async () => {
        for (const found of [undefined, "there"]) {
            const stop = new AbortController();
            const reason = new Error("told to stop");
            let tries = 0;
            const probe = (): string | undefined => {
                tries += 1;
                stop.abort(reason);
                return found;
            };
            const wait = { everyMilliseconds: 1, signal: stop.signal };
            expect(await outcome(until(probe, { ...wait, seconds: 60 }))).to.equal(found ?? reason);
            expect(await outcome(until(probe, { ...wait, seconds: 0 }, () => new Error("late")))).to.equal(
                found ?? reason,
            );
            expect(tries).to.equal(2);
        }
    });

    it("throws what a probe throws, and leaves no timer", async () => {
        const before = await timers();
        const failure = new Error("the connection is gone");
        let tries = 0;
        const probe = (): Promise<undefined> => (++tries === 3 ? Promise.reject(failure) : Promise.resolve(undefined));
        const wait = { seconds: 60, everyMilliseconds: 1 };
        expect(await outcome(until(probe, wait, () => new Error("late")))).to.equal(failure);
        expect(tries).to.equal(3);
        expect(await timers()).to.equal(before);
    });
});
