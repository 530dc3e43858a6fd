import { expect } from "chai";
import { lineProgress } from "../../../engine/run/progress.ts";

describe("progress", () => {
    it("writes whole, short, redacted lines that name the step", () => {
        const lines: string[] = [];
        const progress = lineProgress(
            "dump",
            (line) => lines.push(line),
            (text) => text.replaceAll("hush", "[secret]"),
        );
        progress.say(`one hush\r\ntwo\rthree\n${"x".repeat(200_000)}`);
        expect(lines.slice(0, 3)).to.deep.equal(["[dump] one [secret]", "[dump] two", "[dump] three"]);
        for (const line of lines) expect(line.length).to.be.at.most(4000);
    });

    it("says when work begins and how long it took", async () => {
        const lines: string[] = [];
        const progress = lineProgress(
            "dump",
            (line) => lines.push(line),
            (text) => text,
        );
        expect(await progress.during("copying", () => Promise.resolve(7))).to.equal(7);
        expect(lines[0]).to.equal("[dump] copying");
        expect(lines[1]).to.match(/^\[dump\] copying: done in \d+\.\d s$/);
    });

    it("does not say done when the work failed", async () => {
        const lines: string[] = [];
        const progress = lineProgress(
            "dump",
            (line) => lines.push(line),
            (text) => text,
        );
        await progress.during("copying", () => Promise.reject(new Error("no"))).catch(() => undefined);
        expect(lines).to.deep.equal(["[dump] copying"]);
    });
});
