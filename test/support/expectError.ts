/** Expects a documented error. */
import { expect } from "chai";
import { ErrorWithAftermath, MigrationError, MigrationErrors } from "../../engine/run/errors.ts";
import type { ErrorCode } from "../../engine/run/errorCatalogue.ts";

/** The error of this code that the work ends with; fails when it ends in any other way. */
export async function expectError(code: ErrorCode, work: () => Promise<unknown>): Promise<MigrationError> {
    try {
        await work();
    } catch (error) {
        const errors = errorsIn(error);
        if (errors === undefined) throw error;
        const found = errors.find((candidate) => candidate.code === code);
        if (found !== undefined) return found;
        expect.fail(`expected ${code}, got ${errors.map((candidate) => candidate.message).join("; ")}`);
    }
    expect.fail(`expected ${code}, but nothing went wrong`);
}

function errorsIn(error: unknown): readonly MigrationError[] | undefined {
    if (error instanceof ErrorWithAftermath) return [...(errorsIn(error.error) ?? []), error.aftermath];
    if (error instanceof MigrationErrors) return error.errors;
    return error instanceof MigrationError ? [error] : undefined;
}
