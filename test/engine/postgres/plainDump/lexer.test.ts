import { expect } from "chai";
import fc from "fast-check";
import { nextItem, type Item } from "../../../../engine/postgres/plainDump/lexer.ts";

function items(text: string): Item[] {
    const bytes = Buffer.from(text);
    const found: Item[] = [];
    for (let at = 0; ;) {
        const lexed = nextItem(bytes, at);
        if (lexed === "more") throw new Error(`open at ${at}`);
        if (lexed === "end") return found;
        found.push(lexed.item);
        at = lexed.end;
    }
}

const statements = (text: string): string[] => items(text).map((item) => `${item.kind}: ${item.text}`);

describe("the lexer of plain dumps", () => {
    it("keeps semicolons that are not the end of a statement", () => {
        const whole = [
            "SELECT ';'",
            "SELECT 'it''s; fine'",
            String.raw`SELECT E'\';'`,
            String.raw`SELECT e'a\\'`,
            'SELECT "odd;""name"',
            "SELECT $$;$$",
            "SELECT $a$ $$;$b$; $a$",
            "SELECT 1 /* ; /* ; */ ; */",
            "SELECT 1 -- ;\n",
            "SELECT a$1$;".slice(0, -1),
        ];
        expect(statements(`${whole.join(";\n")};`)).to.deep.equal(whole.map((text) => `statement: ${text}`));
    });

    it("takes a backslash in a plain string for a character, as standard_conforming_strings = on does", () => {
        expect(statements(String.raw`SELECT '\'; SELECT 2;`)).to.deep.equal([
            String.raw`statement: SELECT '\'`,
            "statement: SELECT 2",
        ]);
    });

    it("tells lines for psql and comments from statements", () => {
        expect(statements("--\n-- x; y\n\\restrict abc\nSELECT 1;\n")).to.deep.equal([
            ...["comment: --", "comment: -- x; y", "command: \\restrict abc", "statement: SELECT 1"],
        ]);
        expect(statements("SELECT 1 \\! id\n;")[0]).to.equal("command: \\ inside of a statement");
        expect(statements("SELECT '\\! id';")).to.deep.equal(["statement: SELECT '\\! id'"]);
    });

    it("reads names, strings and numbers without their quotes", () => {
        const [item] = items(`CREATE "Odd""Table" x.Y_1 (E'a''b', $q$c'$q$, -12.5);`);
        expect(item?.kind === "statement" && item.tokens.map(({ kind, text }) => `${kind} ${text}`)).to.deep.equal([
            ...["word create", 'name Odd"Table', "word x", "symbol .", "word y_1", "symbol ("],
            ...["string a'b", "symbol ,", "string c'", "symbol ,", "symbol -", "number 12.5", "symbol )"],
        ]);
    });

    it("asks for more at every place where an item might go on", () => {
        const text = Buffer.from(`CREATE x ('a''b', E'\\'', "n""m", $t$;$t$, 12.5) /* c */ - -1 -- d\n;`);
        for (let length = 0; length < text.length; length += 1) {
            expect(nextItem(text.subarray(0, length), 0), `${length} bytes`).to.equal(length === 0 ? "end" : "more");
        }
    });

    it("never ends a statement within a quoted text, whatever it holds", () => {
        fc.assert(
            fc.property(fc.string({ unit: "binary" }), (content) => {
                const single = `SELECT '${content.replaceAll("'", "''")}'`;
                const double = `SELECT "${content.replaceAll('"', '""')}"`;
                const dollars = `SELECT $tag$${content.replaceAll("$tag", "")}$tag$`;
                for (const text of [single, double, dollars]) {
                    const decoded = Buffer.from(text).toString();
                    expect(statements(`${text};SELECT 2;`)).to.deep.equal([
                        `statement: ${decoded}`,
                        "statement: SELECT 2",
                    ]);
                }
            }),
        );
    });
});
