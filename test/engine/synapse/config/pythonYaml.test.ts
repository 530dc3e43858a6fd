import { expect } from "chai";
import fc from "fast-check";
import { parseSynapseYaml, stringifySynapseYaml } from "../../../../engine/synapse/config/pythonYaml.ts";
import { readWithPyYaml } from "../sourceFixture.ts";
import { expectError } from "../../../support/expectError.ts";

const parse = (text: string) => parseSynapseYaml("homeserver.yaml", text)?.sections;
const refused = (text: string) => expectError("SM-E0203", () => Promise.resolve().then(() => parse(text)));

describe("YAML as Synapse reads it", () => {
    it("B05: reads the booleans of YAML 1.1, and only those of PyYAML", () => {
        expect(parse("a: no\nb: Yes\nc: off\nd: y\ne: 'no'\nf: N")).to.deep.equal({
            a: false,
            b: true,
            c: false,
            d: "y",
            e: "no",
            f: "N",
        });
    });

    it("reads numbers as PyYAML does: octal, sexagesimal, and no exponent without a point", () => {
        expect(
            parse("a: 010\nb: 1:30\nc: 0x1F\nd: 1e3\ne: 1.0e+3\nf: 1_000\ng: -0b11\nh: 08\ni: .5\nj: 1:30.5\nk: -.inf"),
        ).to.deep.equal({
            a: 8,
            b: 90,
            c: 31,
            d: "1e3",
            e: 1000,
            f: 1000,
            g: -3,
            h: "08",
            i: 0.5,
            j: 90.5,
            k: -Infinity,
        });
        expect(parse("a: .nan")?.["a"]).to.satisfy(Number.isNaN);
    });

    it("resolves anchors and merge keys", () => {
        expect(parse("a: &x {p: 1}\nb: {<<: *x, q: 2}")).to.deep.equal({ a: { p: 1 }, b: { p: 1, q: 2 } });
    });

    it("B05: refuses a duplicate key with SM-E0203 and its line", async () => {
        expect((await refused("a: 1\nb:\n  c: 1\n  c: 2\n")).detail.where).to.equal("homeserver.yaml:4:3");
        expect((await refused("a: 1\na: 2\n")).detail.where).to.equal("homeserver.yaml:2:1");
    });

    it("B05: refuses tabs with SM-E0203 and their line", async () => {
        expect((await refused("a:\n\tb: 1\n")).detail.where).to.equal("homeserver.yaml:2");
        expect((await refused("x: |\n  text\n  text\na:\tb\n")).detail.where).to.equal("homeserver.yaml:4");
        expect(parse('a: "x\\ty"\nb: |\n  x\ty\n')).to.deep.equal({ a: "x\ty", b: "x\ty\n" });
    });

    it("B05: refuses anchors that expand into millions with SM-E0203", async () => {
        const levels = Array.from({ length: 9 }, (_, level) => {
            const inside = level === 0 ? "lol" : Array.from({ length: 9 }, () => `*a${level - 1}`).join(", ");
            return `a${level}: &a${level} [${inside}]`;
        });
        await refused(levels.join("\n"));
        await refused("a: &a [*a]");
    });

    it("refuses what Synapse would not start with, and never quotes it", async () => {
        for (const text of [
            "a: [1",
            "a: !vault secretsecret",
            "a: 'x",
            "a: 1\n---\nb: 2",
            "a: *secretsecret",
            "]secretsecret",
            "a: 99999999999999999999",
        ]) {
            expect(JSON.stringify((await refused(text)).detail)).not.to.contain("secretsecret");
        }
    });

    it("ignores a file that is empty or not a mapping, as Synapse does", () => {
        expect(parse("# nothing\n")).to.equal(undefined);
        expect(parse("- a\n")).to.equal(undefined);
    });

    it("reads back exactly what it writes", () => {
        const json = fc
            .jsonValue({ maxDepth: 3, noUnicodeString: false })
            .map((value) => JSON.parse(JSON.stringify(value)) as unknown);
        const key = fc.string({ minLength: 1 }).filter((text) => text !== "__proto__" && text !== "<<");
        fc.assert(
            fc.property(fc.dictionary(key, json, { noNullPrototype: true }), (sections) => {
                const plain = JSON.parse(
                    JSON.stringify(sections, (name, value: unknown) => (name === "__proto__" ? undefined : value)),
                ) as Record<string, unknown>;
                fc.pre(!JSON.stringify(plain).includes('"<<"'));
                const text = stringifySynapseYaml(plain);
                expect(parse(text) ?? {}).to.deep.equal(plain);
            }),
            { numRuns: 300 },
        );
    });

    it("is read back by real PyYAML, whatever the strings and numbers", async () => {
        const value = fc.oneof(
            fc.string({ unit: "binary" }),
            fc.string({
                unit: fc.constantFrom(
                    "1",
                    "0",
                    "e",
                    "-",
                    "+",
                    ".",
                    ":",
                    "_",
                    "n",
                    "o",
                    "y",
                    "~",
                    "#",
                    " ",
                    "\n",
                    "\t",
                    "'",
                    '"',
                    "\\",
                    "\x7f",
                    "\x85",
                    "\u2028",
                    "\ufeff",
                    "\uffff",
                ),
            }),
            fc.double({ noNaN: true, noDefaultInfinity: true }),
            fc.maxSafeInteger(),
            fc.constantFrom(null, true, false, [], {}, 1e-7, 1e21, -0.5),
        );
        const values = fc.sample(value, { numRuns: 2000, seed: 1 }).map((one) => (Object.is(one, -0) ? 0 : one));
        const sections = Object.fromEntries(values.map((one, index) => [`k${index}`, one]));
        const theirs = (await readWithPyYaml(stringifySynapseYaml(sections))) as Record<string, unknown>;
        for (const [key, one] of Object.entries(sections)) expect(theirs[key], JSON.stringify(one)).to.deep.equal(one);
    });

    it("reads plain words as real PyYAML does", async () => {
        const word = fc.oneof(
            fc.string({ unit: fc.constantFrom(..."0123456789eE+-._:xb".split("")), minLength: 1, maxLength: 7 }),
            fc.constantFrom(
                "yes",
                "y",
                "N",
                "On",
                "off",
                "~",
                "null",
                "Null",
                "nULL",
                "True",
                "tRUE",
                "0x1F",
                "0b11",
                "0o17",
                "017",
                "1_0",
                "1e3",
                "1.e+3",
            ),
        );
        const samples = fc
            .sample(word, { numRuns: 3000, seed: 1 })
            // Words that are no plain scalar, and numbers that are refused or are not JSON.
            .filter((text) => !/^[-:]$|^- |: |^[-.]{3}|:$|^[-+]?\.(inf|nan)/i.test(text) && !/\d{16}/.test(text));
        const text = samples.map((one, index) => `k${index}: ${one}\n`).join("");
        const ours = JSON.parse(JSON.stringify(parse(text))) as unknown;
        expect(ours).to.deep.equal(await readWithPyYaml(text));
    });

    it("writes strings and floats so that PyYAML takes them for the same", () => {
        expect(
            stringifySynapseYaml({ a: "1e3", b: 1e-7, c: "no", d: "x\x7fy", e: Infinity, f: -Infinity, g: NaN }),
        ).to.equal('a: "1e3"\nb: 1.0e-7\nc: "no"\nd: "x\\u007fy"\ne: .inf\nf: -.inf\ng: .nan\n');
    });
});
