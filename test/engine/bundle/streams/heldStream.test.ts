import { expect } from "chai";
import { HeldStream } from "../../../../engine/bundle/streams/heldStream.ts";
import { collect } from "../fixtures.ts";

const inner = new Error("inside");
const outer = new Error("outside");

async function* failing(): AsyncGenerator<Buffer, void> {
    yield await Promise.resolve(Buffer.from("a"));
    yield Buffer.from("b");
    throw outer;
}

describe("a held stream", () => {
    it("is read on where its reader stopped", async () => {
        const held = new HeldStream(chunks("a", "b", "c"));
        for await (const chunk of held.rest()) if (chunk.toString() === "a") break;
        expect((await collect(held.rest())).toString()).to.equal("bc");
    });

    it("says what it fails with to whoever reads it to its end", async () => {
        expect(await new HeldStream(failing()).failureOr(inner)).to.equal(outer);
        expect(await new HeldStream(chunks("a")).failureOr(inner)).to.equal(inner);
    });

    it("says it again, when a reader that was ended had fetched the failure", async () => {
        const held = new HeldStream(failing());
        const ended = collect(held.rest()).catch(() => undefined);
        const failure = held.failureOr(inner);
        await ended;
        expect(await failure).to.equal(outer);
        expect(await held.failureOr(inner)).to.equal(outer);
    });

    it("closes what is behind it only when it is told to", async () => {
        let closed = false;
        const source = async function* (): AsyncGenerator<Buffer, void> {
            try {
                yield* chunks("a", "b");
            } finally {
                closed = true;
            }
        };
        const held = new HeldStream(source());
        for await (const chunk of held.rest()) if (chunk.length > 0) break;
        expect(closed).to.equal(false);
        await held.close();
        expect(closed).to.equal(true);
    });
});

async function* chunks(...texts: readonly string[]): AsyncGenerator<Buffer, void> {
    for (const text of texts) yield await Promise.resolve(Buffer.from(text));
}
