import { expect } from "chai";
import fc from "fast-check";
import { CopyLines, LineFault } from "../../../../engine/postgres/plainDump/copyLines.ts";

interface Scanned {
    readonly rows: number;
    readonly digest: string;
    readonly data: string;
    readonly rest: string;
}

/** Scans pieces as the reader does: the data to be passed on, and what is behind the end mark. */
function scan(pieces: readonly Buffer[], columns: number): Scanned {
    const lines = new CopyLines(columns);
    const data: Buffer[] = [];
    let rows = 0;
    for (const [index, piece] of pieces.entries()) {
        const scanned = lines.scan(piece, 0);
        if (scanned.before !== undefined) data.push(scanned.before);
        data.push(piece.subarray(0, scanned.dataEnd));
        rows += scanned.rows;
        if (scanned.end === undefined) continue;
        const rest = Buffer.concat([piece.subarray(scanned.end), ...pieces.slice(index + 1)]);
        return {
            rows,
            digest: lines.sum.toString(),
            data: Buffer.concat(data).toString("latin1"),
            rest: rest.toString("latin1"),
        };
    }
    throw new Error("no end mark");
}

const digestOf = (text: string, columns: number): string => scan([Buffer.from(`${text}\\.\n`)], columns).digest;
const field = fc
    .stringMatching(/^([ -~\u00e4]|\\[\\bfnrtv]|\\N|\\[0-7]{1,3}|\\x[0-9a-f]{1,2}|\\[a-z])*$/)
    .filter(
        (text) =>
            !/\\(0{1,3}(?![0-7])|[0246]00|x0{1,2}(?![0-9a-f]))/.test(text) &&
            !text.includes("\\.") &&
            !/(^|[^\\])(\\\\)*\\$/.test(text),
    );

describe("the lines of a COPY block", () => {
    it("are the same however the bytes are cut into pieces", () => {
        fc.assert(
            fc.property(
                fc.array(fc.tuple(field, field), { maxLength: 8 }),
                fc.array(fc.nat(), { maxLength: 12 }),
                (rows, cuts) => {
                    const text = `${rows.map((row) => `${row.join("\t")}\n`).join("")}\\.\nSELECT 1;`;
                    const bytes = Buffer.from(text);
                    const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length].sort(
                        (a, b) => a - b,
                    );
                    const pieces = places.slice(1).map((place, index) => bytes.subarray(places[index], place));
                    let whole: Scanned;
                    try {
                        whole = scan([bytes], 2);
                    } catch (error) {
                        expect(error).to.be.instanceOf(LineFault);
                        expect(() => scan(pieces, 2)).to.throw(LineFault);
                        return;
                    }
                    expect(scan(pieces, 2)).to.deep.equal(whole);
                    expect(whole.rows).to.equal(rows.length);
                    expect(whole.data).to.equal(bytes.toString("latin1").slice(0, -"\\.\nSELECT 1;".length));
                },
            ),
            { numRuns: 400 },
        );
    });

    it("have a digest that does not depend on their order, and counts a line twice that is there twice", () => {
        expect(digestOf("a\tb\nc\td\n", 2)).to.equal(digestOf("c\td\na\tb\n", 2));
        const different = [
            "",
            "a\tb\n",
            "a\tb\na\tb\n",
            "a\tc\n",
            "b\ta\n",
            "ab\t\n",
            "\tab\n",
            "\\N\tb\n",
            "N\tb\n",
            "a\tB\n",
        ];
        expect(new Set(different.map((text) => digestOf(text, 2))).size).to.equal(different.length);
    });

    it("have a digest that finds every changed byte of a long line", () => {
        const line = Buffer.from(`${"abcdefghij".repeat(30)}\tx\n`);
        const digests = new Set([digestOf(line.toString(), 2)]);
        for (let at = 0; at < 300; at += 1) {
            const changed = Buffer.from(line);
            changed[at] = (changed[at] ?? 0) ^ 0x10;
            digests.add(digestOf(changed.toString(), 2));
        }
        expect(digests.size).to.equal(301);
    });

    it("have the digest of what the server would write, whichever escapes the dump uses", () => {
        const same: [string, string][] = [
            ["\\101\tx\n", "A\tx\n"],
            ["\\x41\\x9\tx\n", "A\\t\tx\n"],
            ["\\303\\244\tx\n", "\u00e4\tx\n"],
            ["\\a\\q\tx\n", "aq\tx\n"],
            ["x\\N\tx\n", "xN\tx\n"],
            ["a\\\tb\tx\n", "a\\tb\tx\n"],
            ["\b\v\f\tx\n", "\\b\\v\\f\tx\n"],
            ["\\134\tx\n", "\\\\\tx\n"],
            ["\\xg\tx\n", "xg\tx\n"],
            ["\\1013\tx\n", "A3\tx\n"],
        ];
        for (const [odd, plain] of same) expect(digestOf(odd, 2), odd).to.equal(digestOf(plain, 2));
    });

    it("are refused when columns or line ends were lost", () => {
        for (const text of ["a\n\\.\n", "a\tb\tc\n\\.\n", "a\tb c\td\n\\.\n", "\n\\.\n"])
            expect(() => scan([Buffer.from(text)], 2), text).to.throw(LineFault, /columns and not of 2/);
        expect(scan([Buffer.from("\n\n\\.\n")], 1).rows).to.equal(2);
    });

    it("are refused with an end mark that is not alone, carriage returns, NUL, or a backslash before the line end", () => {
        const wrong: [string, RegExp][] = [
            ["\\.x\n", /end mark/],
            ["\\.\r\n", /end mark/],
            ["a\r\n", /carriage return/],
            ["a\\\nb\n", /backslash at the end/],
            ["a\0\n", /NUL/],
            ["a\\0\n", /NUL/],
            ["a\\x00\n", /NUL/],
        ];
        for (const [text, message] of wrong)
            for (let cut = 0; cut < text.length; cut += 1)
                expect(() => scan([Buffer.from(text.slice(0, cut)), Buffer.from(text.slice(cut))], 1), text).to.throw(
                    LineFault,
                    message,
                );
    });

    it("of a server have no end mark, and end at a line end", () => {
        const lines = new CopyLines(1, false);
        lines.scan(Buffer.from("a\\\\.\nb"), 0);
        expect(lines.complete).to.equal(false);
        lines.scan(Buffer.from("\n"), 0);
        expect(lines.complete).to.equal(true);
    });
});
