import { expect } from "chai";
import fc from "fast-check";
import { CopyFrames } from "../../../../engine/postgres/directCopy/copyFrames.ts";

const message = (kind: string, content: Buffer): Buffer => {
    const header = Buffer.alloc(5);
    header.write(kind, "latin1");
    header.writeUInt32BE(content.length + 4, 1);
    return Buffer.concat([header, content]);
};
const content = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes));
const row = content.map((bytes) => ({ kind: "d", bytes }));
const aside = fc.tuple(fc.constantFrom("S", "N", "A"), content).map(([kind, bytes]) => ({ kind, bytes }));
const ends = fc.constantFrom("c", "E", "Z");

describe("the messages of a COPY", () => {
    it("give their rows and what comes behind them, wherever a chunk of the connection ends", () => {
        const messages = fc.array(fc.oneof({ weight: 4, arbitrary: row }, aside), { maxLength: 20 });
        const cuts = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 200 });
        fc.assert(
            fc.property(messages, ends, content, cuts, (sent, end, behind, sizes) => {
                const last = end === "c" ? message("c", Buffer.alloc(0)) : message(end, Buffer.from("reason"));
                const stream = Buffer.concat([
                    message("H", Buffer.from([0, 0, 0])),
                    ...sent.map(({ kind, bytes }) => message(kind, bytes)),
                    ...[last, behind],
                ]);
                const frames = new CopyFrames();
                const rows: Buffer[] = [];
                let rest: Buffer | undefined;
                let at = 0;
                for (let index = 0; at < stream.length && rest === undefined; index += 1) {
                    const size = sizes[index % sizes.length] ?? 1;
                    // A copy: the memory of a chunk is overwritten.
                    const taken = frames.take(Buffer.from(stream.subarray(at, at + size)));
                    at = Math.min(stream.length, at + size);
                    rows.push(Buffer.from(taken.rows));
                    rest = taken.rest;
                }
                const expected = sent.filter(({ kind }) => kind === "d").map(({ bytes }) => bytes);
                expect(Buffer.concat(rows)).to.deep.equal(Buffer.concat(expected));
                expect(Buffer.concat([rest ?? Buffer.alloc(0), stream.subarray(at)])).to.deep.equal(
                    end === "c" ? behind : Buffer.concat([last, behind]),
                );
            }),
        );
    });
});
