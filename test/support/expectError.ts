/** Expects a documented error. */
import { expect } from "chai";
import { ErrorWithAftermath, MigrationError, MigrationErrors } from "../../engine/run/errors.ts";
import type { ErrorCode } from "../../engine/run/errorCatalogue.ts";

/** The error of this code that the work ends with; fails when it ends in any other way. */
export function expectError(code: ErrorCode, work: () => Promise<unknown>): Promise<MigrationError> {
    return expectOneOf([code], work);
}

/** {@link expectError}, where more than one part may be the first to notice. */
export async function expectOneOf(codes: readonly ErrorCode[], work: () => Promise<unknown>): Promise<MigrationError> {
    try {
        await work();
    } catch (error) {
        const errors = errorsIn(error);
        if (errors === undefined) throw error;
        const found = errors.find((candidate) => codes.includes(candidate.code));
        if (found !== undefined) return found;
        expect.fail(`expected ${codes.join(" or ")}, got ${errors.map((candidate) => candidate.message).join("; ")}`);
    }
    expect.fail(`expected ${codes.join(" or ")}, but nothing went wrong`);
}

function errorsIn(error: unknown): readonly MigrationError[] | undefined {
    if (error instanceof ErrorWithAftermath) return [...(errorsIn(error.error) ?? []), error.aftermath];
    if (error instanceof MigrationErrors) return error.errors;
    return error instanceof MigrationError ? [error] : undefined;
}
