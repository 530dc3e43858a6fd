/** Statements of a check that the server did not answer: because they took too long, or because the role may not ask. */
import { MigrationError } from "../run/errors.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";

const cancelledStatement = "SM-E1103" satisfies ErrorCode;

/** What they were to find out is unknown, and nothing is wrong. */
export function isCancelled(error: unknown): boolean {
    if (error instanceof MigrationError) return error.code === cancelledStatement;
    // SQLSTATE query_canceled
    return error instanceof Error && "code" in error && error.code === "57014";
}

/** SQLSTATE insufficient_privilege */
export function isRefused(error: unknown): error is Error {
    return error instanceof Error && "code" in error && error.code === "42501";
}
