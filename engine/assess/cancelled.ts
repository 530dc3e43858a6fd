/** Checks that could not be made: because they took too long, because the role may not ask, or because what they look at is not there. */
import type { Finding } from "../../contract/index.ts";
import { isConnectionLost } from "../postgres/connection.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";
import { MigrationError, MigrationErrors } from "../run/errors.ts";
import { finding } from "../run/finding.ts";
import { redact } from "../run/redaction.ts";
import { systemRefusal } from "../run/systemErrors.ts";
import { documentedFindings } from "./conclusion.ts";

const cancelledStatement = "SM-E1103" satisfies ErrorCode;

/** What they were to find out is unknown, and nothing is wrong. */
export function isCancelled(error: unknown): boolean {
    if (error instanceof MigrationError) return error.code === cancelledStatement;
    // SQLSTATE query_canceled
    return error instanceof Error && "code" in error && error.code === "57014";
}

/**
 * What is to be shown of a check that could not be made; the others are made nevertheless.
 *
 * @throws the error itself where no other check could be made either: the session is lost, or it was stopped
 */
export function findingsOfUnmade(id: string, thrown: unknown): Finding[] {
    if (isConnectionLost(thrown) || (thrown instanceof Error && thrown.name === "AbortError")) throw thrown;
    if (isRefused(thrown)) return [finding("SM-E0515", `check ${id}: ${thrown.message}`)];
    const error = systemRefusal(thrown);
    if (error instanceof MigrationError || error instanceof MigrationErrors) return documentedFindings(error);
    const message = error instanceof Error ? error.message : String(error);
    return [finding("SM-E0842", `check ${id}: ${redact(message)}`)];
}

/** SQLSTATE insufficient_privilege */
function isRefused(error: unknown): error is Error {
    return error instanceof Error && "code" in error && error.code === "42501";
}
