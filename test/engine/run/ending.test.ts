import { CommanderError } from "commander";
import { expect } from "chai";
import { endingOf } from "../../../engine/run/ending.ts";
import { endingBytes } from "../../../engine/run/boundedOutput.ts";
import { ErrorWithAftermath, MigrationError, MigrationErrors } from "../../../engine/run/errors.ts";

const problem = new MigrationError("SM-E0706", { where: "a lock", found: "it is held" });

describe("the end of a command that went wrong", () => {
    it("is the error block and the exit code of its family", () => {
        expect(endingOf(problem, new AbortController().signal)).to.deep.equal({ lines: [problem.block], exitCode: 6 });
        expect(endingOf(new MigrationErrors([problem, problem]), undefined)).to.deep.include({ exitCode: 6 });
    });

    it("is 130 and a word on resuming when it was stopped, whatever failed because of that", () => {
        const reason = new Error("the step was stopped: SIGINT; running it again resumes it");
        for (const error of [problem, new Error("aborted"), reason]) {
            expect(endingOf(error, AbortSignal.abort(reason))).to.deep.equal({
                lines: [reason.message],
                exitCode: 130,
            });
        }
    });

    it("is the step's own error first, whole enough to act on, and what was done because of it last", () => {
        const aftermath = new MigrationError("SM-E0781", { where: "the source", found: "it serves again" });
        const many = new MigrationErrors(Array.from({ length: 40 }, () => problem));
        for (const error of [problem, many, new TypeError("x is not a function".repeat(2000))]) {
            const { lines, exitCode } = endingOf(new ErrorWithAftermath(error, aftermath), undefined);
            const text = lines.join("\n");
            expect(text.endsWith(aftermath.block)).to.equal(true);
            expect(Buffer.byteLength(text)).to.be.at.most(endingBytes);
            expect(exitCode).to.equal(endingOf(error, undefined).exitCode);
            expect(text.indexOf("SM-E0781")).to.be.greaterThan(0);
        }
    });

    it("is what the system refused, with a code of its own and never as a defect", () => {
        const refusal = (code: string, path?: string): Error =>
            Object.assign(new Error(`${code}: it was refused, open`), {
                code,
                ...(path === undefined ? {} : { path }),
            });
        for (const [code, expected] of [
            ["ENOSPC", "SM-E1201"],
            ["EDQUOT", "SM-E1201"],
            ["EROFS", "SM-E1210"],
            ["EMFILE", "SM-E1210"],
        ] as const) {
            const { lines, exitCode } = endingOf(refusal(code, "/srv/target/media"), undefined);
            expect(lines.join("\n")).to.contain(expected).and.to.contain("/srv/target/media").and.to.contain(code);
            expect(lines.join("\n")).not.to.contain("defect");
            expect(exitCode).not.to.equal(1);
        }
        expect(endingOf(refusal("ENOENT"), undefined).lines.join("\n")).to.contain("this is a defect");
    });

    it("knows a directory that could not be made on a full disk, which is reported as one that is not there", () => {
        // A file system without a free block, wherever this runs.
        const atProc = Object.assign(new Error("ENOENT: no such file or directory, mkdir"), {
            ...{ code: "ENOENT", syscall: "mkdir", path: "/proc/full" },
        });
        expect(endingOf(atProc, undefined).lines.join("\n")).to.match(/SM-E1201[^]*no space left/);
        const elsewhere = Object.assign(new Error("ENOENT"), { code: "ENOENT", syscall: "mkdir", path: "/gone/x/y" });
        expect(endingOf(elsewhere, undefined).lines.join("\n")).to.contain("this is a defect");
    });

    it("says that it is a defect when nobody expected it", () => {
        const { lines, exitCode } = endingOf(new TypeError("x is not a function"), undefined);
        expect(exitCode).to.equal(1);
        expect(lines.join("\n")).to.contain("x is not a function").and.to.contain("this is a defect");
    });

    it("repeats what was wrong with the call, and leaves to commander what it has said itself", () => {
        expect(endingOf(new CommanderError(2, "usage", "one of"), undefined)).to.deep.equal({
            lines: ["one of"],
            exitCode: 2,
        });
        expect(endingOf(new CommanderError(0, "commander.help", ""), undefined)).to.deep.equal({
            lines: [],
            exitCode: 0,
        });
    });
});
