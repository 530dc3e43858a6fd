import { expect } from "chai";
import { MigrationError, MigrationErrors } from "../../../engine/run/errors.ts";
import type { ErrorCode } from "../../../engine/run/errorCatalogue.ts";
import { isResumable } from "../../../engine/run/resumable.ts";

const of = (code: ErrorCode, found = "x"): MigrationError => new MigrationError(code, { where: "here", found });
const system = (code: string): Error => Object.assign(new Error(code), { code });

describe("whether running a failed step again may mend it", () => {
    it("is so for a server that does not answer, a full disk, and what holds for a moment", () => {
        for (const code of ["SM-E1102", "SM-E1201", "SM-E1210", "SM-E0706", "SM-E1106"] as const)
            expect(isResumable(of(code)), code).to.equal(true);
        for (const code of ["ENOSPC", "EDQUOT", "EIO", "ECONNRESET", "EPIPE"])
            expect(isResumable(system(code)), code).to.equal(true);
        expect(isResumable(of("SM-E1101", "pg_dump: error: could not write: No space left on device"))).to.equal(true);
        expect(isResumable(of("SM-E1104", "out of memory (SQLSTATE 53200)"))).to.equal(true);
    });

    it("is not so for a refusal, a difference, a program that says nothing of the kind, and a defect", () => {
        for (const code of ["SM-E0540", "SM-E0804", "SM-E0601", "SM-E0702", "SM-E0703", "SM-E0709"] as const)
            expect(isResumable(of(code)), code).to.equal(false);
        expect(isResumable(of("SM-E1101", "pg_restore: error: could not execute query"))).to.equal(false);
        expect(isResumable(of("SM-E1104", "value too long (SQLSTATE 22001)"))).to.equal(false);
        // What a refusal quotes of a user's data decides nothing.
        expect(isResumable(of("SM-E0601", "No space left on device"))).to.equal(false);
        expect(isResumable(new TypeError("x is not a function"))).to.equal(false);
        expect(isResumable(system("ENOENT"))).to.equal(false);
    });

    it("takes the one that needs a person among several", () => {
        expect(isResumable(new MigrationErrors([of("SM-E1102"), of("SM-E1201")]))).to.equal(true);
        expect(isResumable(new MigrationErrors([of("SM-E1102"), of("SM-E0540")]))).to.equal(false);
    });
});
