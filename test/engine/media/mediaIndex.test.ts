import { expect } from "chai";
import { appendFile, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inOrder } from "../../../engine/media/inOrder.ts";
import { MediaIndex } from "../../../engine/media/mediaIndex.ts";

describe("the index of copied media", () => {
    let directory: string;
    const file = () => join(directory, "media-index.jsonl");
    const entry = (path: string, size = 1) => ({ path, size, mtime: "1", sha256: "0".repeat(64) });

    beforeEach(async () => {
        directory = await mkdtemp(join(tmpdir(), "index-"));
    });
    afterEach(() => rm(directory, { recursive: true }));

    it("remembers what was copied and forgets what was removed", async () => {
        const first = await MediaIndex.open(file());
        for (let n = 0; n < 200; n++) first.set(entry(`p${n}`));
        first.set(entry("p7", 77));
        first.delete("p8");
        first.delete("never there");
        await first.close({ compact: false });
        const second = await MediaIndex.open(file());
        expect(second.size).to.equal(199);
        expect(second.get("p7")?.size).to.equal(77);
        expect(second.get("p8")).to.equal(undefined);
        await second.close({ compact: true });
        expect((await readFile(file(), "utf8")).trim().split("\n")).to.have.length(199);
    });

    it("survives a torn last line, which costs that file alone", async () => {
        const first = await MediaIndex.open(file());
        first.set(entry("whole"));
        await first.close({ compact: false });
        await appendFile(file(), `{"path":"torn","si`);
        const second = await MediaIndex.open(file());
        second.set(entry("next"));
        await second.close({ compact: false });
        const third = await MediaIndex.open(file());
        expect([...third.paths()]).to.deep.equal(["whole", "next"]);
        await third.close({ compact: false });
    });
});

describe("work on several items at a time", () => {
    async function* numbers(count: number): AsyncGenerator<number> {
        for (let n = 0; n < count; n++) yield await Promise.resolve(n);
    }

    it("begins no more than may be loaded altogether, and one that is more than that alone", async () => {
        const running = new Set<number>();
        const seen: number[] = [];
        const work = async (n: number): Promise<number> => {
            running.add(n);
            seen.push([...running].reduce((sum, one) => sum + one, 0));
            await new Promise((resolve) => setImmediate(resolve));
            return n;
        };
        const results: number[] = [];
        for await (const n of inOrder(numbers(12), 100, work, { of: (item) => item, most: 10 })) {
            running.delete(n);
            results.push(n);
        }
        expect(results).to.deep.equal([...Array(12).keys()]);
        // The load of an item is known to fit only once it is begun: it is over by that one at the most.
        expect(Math.max(...seen)).to.be.below(10 + 11);
        expect(Math.max(...seen)).to.be.above(9);
    });

    it("gives its results in the order of the items", async () => {
        const results: number[] = [];
        const work = async (n: number) => {
            await new Promise((resolve) => setTimeout(resolve, (7 * (n + 1)) % 5));
            return n;
        };
        for await (const n of inOrder(numbers(20), 4, work)) results.push(n);
        expect(results).to.deep.equal([...Array(20).keys()]);
    });

    it("ends with the first failure, after all that was begun", async () => {
        let running = 0;
        const work = async (n: number) => {
            running++;
            await new Promise((resolve) => setTimeout(resolve, n === 1 ? 1 : 20));
            running--;
            if (n === 1) throw new Error("bad item");
            return n;
        };
        const results: number[] = [];
        try {
            for await (const n of inOrder(numbers(20), 4, work)) results.push(n);
            expect.fail("it should have failed");
        } catch (error) {
            expect(error).to.have.property("message", "bad item");
        }
        expect(results).to.deep.equal([0]);
        expect(running).to.equal(0);
    });
});
