import { expect } from "chai";
import fc from "fast-check";
import { parseSynapseYaml, stringifySynapseYaml } from "../../../../engine/synapse/config/pythonYaml.ts";
import { readAsTexts, readWithPyYaml } from "../sourceFixture.ts";
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

    it("B05: takes the last of a key that comes more than once, as PyYAML does, and says where all of them are", async () => {
        const text = [
            "a: {x: 1}",
            "b:",
            "  c: 1",
            "  'c': 2",
            "l: [{}, {d: 1, d: 2, e: 3}]",
            "a: {y: &y {p: 1, q: 1}}",
            "m: {p: 2, <<: *y, p: 3}",
            "a: {z: {q: 1, q: 2}}",
        ].join("\n");
        const parsed = parseSynapseYaml(
            "homeserver.yaml",
            text.replace("&y {p: 1, q: 1}", "1").replace("*y", "{q: 1}"),
        );
        expect(parsed?.repeated).to.deep.equal([
            { key: "a", lines: [1, 6, 8] },
            { key: "b.c", lines: [3, 4] },
            { key: "l.1.d", lines: [5, 5] },
            { key: "m.p", lines: [7, 7] },
            { key: "a.z.q", lines: [8, 8] },
        ]);
        expect(parsed?.lines["a"]).to.equal(8);
        expect(parsed?.sections).to.deep.equal(
            await readWithPyYaml(text.replace("&y {p: 1, q: 1}", "1").replace("*y", "{q: 1}")),
        );
    });

    it("B05: keeps an anchor of a mapping that does not count, and refuses two merge keys, of which PyYAML takes the last", async () => {
        const text = "a: &y {p: 1}\na: 2\nb: *y\n";
        expect(parse(text)).to.deep.equal(await readWithPyYaml(text));
        const error = await refused("a: {<<: {x: 1}, <<: {x: 2}}");
        expect(error.detail).to.include({ where: "homeserver.yaml:1", found: "two merge keys `<<` in one mapping" });
    });

    it("makes the texts of the database's words that Python makes, which psycopg2 hands on", async () => {
        const plain = fc.oneof(
            fc.string({ unit: fc.constantFrom(..."0123456789eE+-._:xb".split("")), minLength: 1, maxLength: 24 }),
            fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => String(value)),
            fc.bigInt({ min: -(2n ** 80n), max: 2n ** 80n }).map(String),
            fc.constantFrom(
                "yes",
                "Off",
                "null",
                "~",
                "1.0",
                "100.",
                "-0.0",
                "1.0e+21",
                "1.0e-5",
                "1e21",
                ".inf",
                ".NaN",
            ),
            fc.constantFrom("010", "0b11", "0x1F", "1_000", "1:30", "1:30.5", "12345678901234567890"),
            fc.constantFrom(
                ...[
                    "2024-01-01",
                    "2024-1-1",
                    "2024-1-1 1:02:03",
                    "2024-02-29T10:00:00Z",
                    "2001-12-14t21:59:43.10-05:00",
                ],
                ...["2001-12-14 21:59:43.123456789 +5:30", "2001-12-14 21:59:43 -3", "1999-12-31 23:59:59.000001"],
            ),
        );
        const samples = fc
            .sample(plain, { numRuns: 2000, seed: 1 })
            .filter((text) => !/^[-:]$|^- |: |^[-.]{3}|:$|^0[bx][_]*$/.test(text));
        const args = samples.map((one, index) => `    k${index}: ${one}\n`).join("");
        const texts = parseSynapseYaml("f", `database:\n  args:\n${args}`)?.texts["database"] as { args: object };
        const ours = Object.fromEntries(Object.entries(texts.args).filter(([, value]) => value !== null));
        expect(ours).to.deep.equal(await readAsTexts(args));
    });

    it("writes a date as the date that it is, and refuses one that Python refuses", async () => {
        const text = "a: 2024-01-01\nb: 2024-01-01 00:00:00\nc: 2024-1-1\nd: 2001-12-14t21:59:43.10-05:00\n";
        const written = stringifySynapseYaml(parse(text) ?? {});
        expect(await readWithPyYaml(written)).to.deep.equal(await readWithPyYaml(text));
        expect((await refused("a: 2023-02-29")).detail.found).to.equal("a date that does not exist");
    });

    it("refuses a number that JavaScript would round, but in the database's arguments, where it is a text", async () => {
        await refused("a: 12345678901234567890\ndatabase: {args: {password: 12345678901234567890}}");
        expect(parse("database: {args: {password: 12345678901234567890}}")).to.deep.equal({
            database: { args: { password: "12345678901234567890" } },
        });
    });

    it("names ansible-vault where a value is encrypted by it, with SM-E0228", async () => {
        const error = await expectError("SM-E0228", () =>
            Promise.resolve().then(() => parse("a: 1\nb: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6162\n")),
        );
        expect(error.detail.where).to.equal("homeserver.yaml:2");
        expect(error.detail.fix).to.contain("ansible-vault view homeserver.yaml");
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
            "a: !secret secretsecret",
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
