import { expect } from "chai";
import { errorCatalogue, exitCodes } from "../../../engine/run/errorCatalogue.ts";
import { MigrationError, MigrationErrors, throwAll } from "../../../engine/run/errors.ts";

const problem = new MigrationError("SM-E0706", { where: "a lock", found: "it is\nheld" });

describe("an error", () => {
    it("is printed as a block that says where, what, why, how to mend it, and what was changed", () => {
        const lines = problem.block.split("\n");
        expect(lines[0]).to.equal(`SM-E0706 ${errorCatalogue["SM-E0706"].title}`);
        expect(problem.block).to.match(/where +a lock\n {2}found +it is\n {11}held\n {2}why/);
        expect(problem.block).to.contain("nothing was changed").and.to.contain("docs/errors.md#sm-e0706     exit 6");
    });

    it("says what was changed, and a more exact way out, where the case knows better", () => {
        const { block } = new MigrationError("SM-E0706", {
            where: "x",
            found: "y",
            expected: "z",
            fix: "wait for it",
            changed: "one file",
        });
        expect(block).to.contain("wait for it").and.to.contain("one file").and.not.to.contain("nothing was changed");
    });

    it("has the exit code of its family, and no family shares one", () => {
        expect(problem.exitCode).to.equal(exitCodes.locked);
        expect(new Set(Object.values(exitCodes)).size).to.equal(Object.keys(exitCodes).length);
    });

    it("comes together with the others that were found with it", () => {
        throwAll([]);
        expect(() => throwAll([problem])).to.throw(MigrationError);
        try {
            throwAll([problem, problem]);
            expect.fail("nothing was thrown");
        } catch (error) {
            expect(error).to.be.instanceOf(MigrationErrors);
            if (error instanceof MigrationErrors) expect(error.block.split("\n\n")).to.have.length(2);
        }
    });
});
