/** Expects a documented error. */
import { expect } from "chai";
import { MigrationError, MigrationErrors } from "../../engine/run/errors.ts";
import type { ErrorCode } from "../../engine/run/errorCatalogue.ts";

/** The error of this code that the work ends with; fails when it ends in any other way. */
export async function expectError(code: ErrorCode, work: () => Promise<unknown>): Promise<MigrationError> {
    try {
        await work();
    } catch (error) {
        const errors =
            error instanceof MigrationErrors ? error.errors : error instanceof MigrationError ? [error] : undefined;
        if (errors === undefined) throw error;
        const found = errors.find((candidate) => candidate.code === code);
        if (found !== undefined) return found;
        expect.fail(`expected ${code}, got ${errors.map((candidate) => candidate.message).join("; ")}`);
    }
    expect.fail(`expected ${code}, but nothing went wrong`);
}
