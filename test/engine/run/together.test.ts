import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { expect } from "chai";
import { Together } from "../../../engine/run/together.ts";

const failing = async (reason: Error): Promise<never> => {
    await turn();
    throw reason;
};
const outcome = (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);

describe("work that is done together", () => {
    it("yields what each part yields, in their order", async () => {
        const together = new Together();
        const [text, number] = await together.all(turn("a"), Promise.resolve(1));
        expect([text, number]).to.deep.equal(["a", 1]);
        expect(together.signal.aborted).to.equal(false);
        expect(await together.all()).to.deep.equal([]);
    });

    it("tells the other parts when one fails, and goes on only when they have ended", async () => {
        const together = new Together();
        const cause = new Error("the cause");
        let ended = false;
        const other = async (): Promise<void> => {
            await once(together.signal, "abort");
            await turn();
            ended = true;
            throw new Error("a consequence");
        };
        expect(await outcome(together.all(other(), failing(cause)))).to.equal(cause);
        expect(ended).to.equal(true);
    });

    it("says why it was told to stop, and not what its parts made of that", async () => {
        const outer = new AbortController();
        const together = new Together(outer.signal);
        const other = async (): Promise<void> => {
            await once(together.signal, "abort");
            throw new Error("the connection is gone");
        };
        const all = outcome(together.all(other()));
        const reason = new Error("told to stop");
        outer.abort(reason);
        expect(await all).to.equal(reason);
    });

    it("tells the others at once of a part within a part", async () => {
        const together = new Together();
        const cause = new Error("the cause");
        const told = once(together.signal, "abort");
        const inner = outcome(together.part(failing(cause)));
        await told;
        expect(together.signal.reason).to.equal(cause);
        expect(await inner).to.equal(cause);
    });
});
