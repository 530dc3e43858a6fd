import { spawn } from "node:child_process";
import { expect } from "chai";
import fc from "fast-check";
import { boundedOutput, endingBytes, longestOutput } from "../../../engine/run/boundedOutput.ts";
import { endingOf } from "../../../engine/run/ending.ts";
import { MigrationError, MigrationErrors } from "../../../engine/run/errors.ts";
import { lineProgress, type LineKind } from "../../../engine/run/progress.ts";
import { withinBytes } from "../../../engine/run/withinBytes.ts";

/** An attempt at a step whose clock the test moves. */
function attempt() {
    const written: { readonly text: string; readonly at: number }[] = [];
    let seconds = 0;
    const output = boundedOutput(
        (text) => void written.push({ text, at: seconds }),
        () => seconds * 1000,
    );
    return {
        ...{ output, written },
        bytes: () => written.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0),
        wait: (more: number) => void (seconds += more),
        lines: () => written.map(({ text }) => text.slice(0, -1)),
    };
}
const hours = 3600;
const heartbeat = (second: number): string => `[copy] copying: 81 of 176 tables, 61234567 rows, ${second}.0 s so far`;

describe("what an attempt at a step prints", () => {
    it("is all that a short one says, in order", () => {
        const { output, lines } = attempt();
        output.line("one");
        output.line("two", "note");
        output.line("three", "heartbeat");
        output.end(["SM-E0000 x\n  where y"]);
        expect(lines()).to.deep.equal(["one", "two", "three", "SM-E0000 x", "  where y"]);
    });

    it("is at most 64 KiB after three days, and still shows life in each hour of the first day", () => {
        const { output, written, bytes, wait } = attempt();
        for (let second = 0; second < 72 * hours; second += 10) {
            output.line(heartbeat(second), "heartbeat");
            wait(10);
        }
        output.end(["the end"]);
        expect(bytes()).to.be.at.most(longestOutput);
        for (let hour = 0; hour < 24; hour++)
            expect(
                written.some(({ at }) => at >= hour * hours && at < (hour + 1) * hours),
                `hour ${hour}`,
            ).to.equal(true);
        const pauses = written.slice(1).map(({ at }, index) => at - (written[index]?.at ?? 0));
        expect(pauses[100], "at first each line is printed").to.equal(10);
        expect(Math.max(...pauses.slice(0, -1)), "later they are rare").to.be.greaterThan(600);
        expect(written.at(-1)?.text).to.equal("the end\n");
    });

    it("is at most 64 KiB even after a century", () => {
        const { output, bytes, wait } = attempt();
        for (let line = 0; line < 50_000; line++) {
            output.line(heartbeat(line));
            wait(20 * hours);
        }
        expect(bytes()).to.be.at.most(longestOutput - endingBytes);
    });

    it("is at most 64 KiB whatever is said, and its end is whole and last", () => {
        const kind = fc.constantFrom<LineKind>("progress", "note", "heartbeat");
        const said = fc.array(
            fc.tuple(fc.string({ unit: "grapheme", maxLength: 20 }), fc.nat(6000), kind, fc.nat(90)),
            {
                maxLength: 60,
            },
        );
        fc.assert(
            fc.property(said, (lines) => {
                const { output, bytes, wait, written } = attempt();
                for (const [text, times, kind, seconds] of lines) {
                    output.line(text.replaceAll("\n", " ").repeat(times), kind);
                    wait(seconds);
                }
                output.end(["x".repeat(endingBytes * 2)]);
                output.line("too late");
                output.end(["too late"]);
                expect(bytes()).to.be.at.most(longestOutput);
                for (const { text } of written) expect(Buffer.byteLength(text)).to.be.below(4096);
                expect(written.at(-1)?.text).to.match(/^x/);
            }),
        );
    });

    it("prints a note when progress has used up its part, and the error when notes have", () => {
        const { output, lines, bytes } = attempt();
        for (let line = 0; line < 10_000; line++) output.line(heartbeat(line));
        output.line("a note", "note");
        expect(lines().at(-1)).to.equal("a note");
        for (let line = 0; line < 10_000; line++) output.line(`note ${line}`, "note");
        const error = new MigrationError("SM-E0706", { where: "a lock", found: "it is held" });
        output.end(endingOf(error, undefined).lines);
        expect(lines().join("\n").endsWith(error.block)).to.equal(true);
        expect(bytes()).to.be.at.most(longestOutput);
    });

    it("is bounded in the process, where a step says more than that and fails", async () => {
        // The command line itself, with an option that no step has: what it says goes the same way as a step's error.
        const child = spawn(process.execPath, ["--import", "tsx", "steps/cli.ts", "fence", "--do"], {
            stdio: ["pipe", "ignore", "pipe"],
        });
        const keys = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`unknown-key-${index}`, 1]));
        child.stdin.end(JSON.stringify(keys));
        let text = "";
        for await (const chunk of child.stderr) text += String(chunk);
        expect(Buffer.byteLength(text)).to.be.within(1, longestOutput);
        expect(text).to.match(/^SM-E0200 [^]*\n {2}docs {5}docs\/errors\.md#sm-e0200 .*\n$/);
    });
});

describe("the end of an attempt", () => {
    const long = Array.from({ length: 5000 }, (_, index) => `media ${index} is missing`).join("\n");
    const block = (code: "SM-E0601" | "SM-E0602"): MigrationError =>
        new MigrationError(code, { where: "the media store", found: long, changed: "nothing" });

    it("keeps what is to be done of an error that found too much", () => {
        const text = endingOf(block("SM-E0601"), undefined).lines.join("\n");
        expect(Buffer.byteLength(text)).to.be.below(endingBytes);
        expect(text).to.match(/^SM-E0601 /);
        expect(text)
            .to.include("found    media 0 is missing")
            .and.match(/… \d+ lines left out …/);
        expect(text).to.match(/\n {2}fix {6}declare phase[^]*\n {2}changed {2}nothing\n {2}docs /);
    });

    it("shortens a line that is too long, and says the lines after it", () => {
        const found = "é".repeat(100_000);
        const text = endingOf(new MigrationError("SM-E0601", { where: "here", found }), undefined).lines.join("\n");
        for (const line of text.split("\n")) expect(Buffer.byteLength(line)).to.be.below(4096);
        expect(text).to.include("\n  found    ééé").and.include("\n  docs ");
    });

    it("names every error of many, and has as many blocks as there is room for", () => {
        const errors = Array.from({ length: 40 }, (_, index) => block(index === 39 ? "SM-E0602" : "SM-E0601"));
        const text = endingOf(new MigrationErrors(errors), undefined).lines.join("\n");
        expect(Buffer.byteLength(text)).to.be.below(endingBytes);
        expect(text.match(/^SM-E0601 /gm)?.length).to.be.within(5, 39);
        expect(text.split("\n").at(-1)).to.match(/^and \d+ more: SM-E0601, [^]*SM-E0602$/);
    });

    it("has room for the stack of a defect", () => {
        const { lines } = endingOf(new Error("x\n".repeat(100_000)), undefined);
        expect(Buffer.byteLength(lines.join("\n"))).to.be.below(endingBytes);
        expect(lines.at(-1)).to.match(/^this is a defect/);
    });
});

describe("a text within a number of bytes", () => {
    it("is itself when it fits, else its beginning, never with half a character", () => {
        expect(withinBytes("ab", 2)).to.equal("ab");
        expect(withinBytes("🐤🐤", 7)).to.equal("🐤…");
        fc.assert(
            fc.property(fc.string({ unit: "grapheme" }), fc.integer({ min: 3, max: 40 }), (text, bytes) => {
                const cut = withinBytes(text, bytes);
                expect(Buffer.byteLength(cut)).to.be.at.most(bytes);
                expect(cut).to.not.include("\ufffd");
                expect(text.startsWith(cut.replace(/…$/, "")) || text === cut).to.equal(true);
            }),
        );
    });

    it("counts bytes in a line of progress, too", () => {
        const lines: string[] = [];
        lineProgress("dump", (line) => lines.push(line), String).say("ü".repeat(5000));
        expect(Buffer.byteLength(lines[0] ?? "")).to.be.at.most(4000);
    });
});
