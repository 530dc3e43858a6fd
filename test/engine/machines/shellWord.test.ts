import { expect } from "chai";
import fc from "fast-check";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { remoteCommand, shellWord } from "../../../engine/machines/ssh/shellWord.ts";

/** Those of login shells that are here; the first every system has. */
const shells: readonly (readonly string[])[] = [
    ["/bin/sh"],
    ["/bin/bash"],
    ["/bin/bash", "--posix"],
    ["/bin/dash"],
    ["/bin/zsh"],
    ["/bin/ksh"],
    ["/bin/busybox", "ash"],
].filter(([program = ""]) => program === "/bin/sh" || existsSync(program));

/** What a shell makes of a command: the words that its program got. */
function wordsOf(shell: readonly string[], command: string): string[] {
    const [program = "", ...args] = shell;
    const said = execFileSync(program, [...args, "-c", command], { stdio: ["ignore", "pipe", "pipe"] });
    return said.toString("utf8").split("\0").slice(0, -1);
}

/** Prints each of its words and a NUL. Printf's own words are no options: nothing that follows a format is. */
const printed = (words: readonly string[]): string => remoteCommand("/usr/bin/printf", ["%s\\0", ...words]);

describe("a word that is quoted for a shell", () => {
    const awkward = fc.constantFrom(
        ...[
            "'",
            '"',
            "\\",
            "`",
            "$",
            "$(id)",
            "${HOME}",
            "!",
            "!!",
            "#",
            "~",
            "~root",
            "*",
            "?",
            "[a-z]",
            "{a,b}",
            ";",
        ],
        ...[
            "&",
            "|",
            "<",
            ">",
            "(",
            ")",
            "\n",
            "\r",
            "\t",
            " ",
            "-",
            "--",
            "-e",
            "=",
            "%",
            "^",
            "\u00e4",
            "\u{1f600}",
            "\u0001",
            "\u007f",
            "\u001b",
        ],
    );
    const word = fc.oneof(
        fc.array(awkward, { maxLength: 8 }).map((parts) => parts.join("")),
        fc.string({ unit: "binary" }).filter((text) => !text.includes("\0")),
    );

    for (const shell of shells)
        it(`is that word to ${shell.join(" ")}, whatever is in it`, function () {
            this.timeout(60_000);
            fc.assert(
                fc.property(fc.array(word, { minLength: 1, maxLength: 6 }), (words) => {
                    expect(wordsOf(shell, printed(words))).to.deep.equal(words);
                }),
                { numRuns: 40 },
            );
        });

    for (const shell of shells)
        it(`may have every character but NUL, at its beginning and its end, to ${shell.join(" ")}`, () => {
            const characters = Array.from({ length: 255 }, (_, at) => String.fromCharCode(at + 1));
            const words = characters.flatMap((character) => [
                character,
                `${character}x`,
                `x${character}`,
                `-${character}`,
            ]);
            expect(wordsOf(shell, printed(words))).to.deep.equal(words);
        });

    it("has no NUL", () => {
        expect(() => shellWord("a\0b")).to.throw(RangeError);
    });

    it("is a word of its own where it is empty", () => {
        for (const shell of shells) expect(wordsOf(shell, printed(["", "a", ""]))).to.deep.equal(["", "a", ""]);
    });
});
