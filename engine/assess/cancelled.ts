/** Statements that the server ended for taking too long: what they were to find out is unknown, and nothing is wrong. */
import { MigrationError } from "../run/errors.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";

const cancelledStatement = "SM-E1103" satisfies ErrorCode;

export function isCancelled(error: unknown): boolean {
    if (error instanceof MigrationError) return error.code === cancelledStatement;
    // SQLSTATE query_canceled
    return error instanceof Error && "code" in error && error.code === "57014";
}
