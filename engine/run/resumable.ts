/** Whether a step that has failed may get through when it is run again as it is: what it met passes, or is made room for. */
import { MigrationError, MigrationErrors } from "./errors.ts";
import type { ErrorCode } from "./errorCatalogue.ts";
import { systemRefusal } from "./systemErrors.ts";

/** Servers that do not answer (at the moment), disks that are full, what the system refuses, another process that works on the same thing. */
const passing: readonly ErrorCode[] = [
    ...(["SM-E0706", "SM-E0990", "SM-E1102", "SM-E1103", "SM-E1106", "SM-E1201", "SM-E1210", "SM-E1309"] as const),
];
/** Of a program that has failed nothing is known but its words. */
const programs: readonly ErrorCode[] = ["SM-E0905", "SM-E1101", "SM-E1104"];
const passingWords =
    /No space left on device|server closed the connection|could not connect|Connection (?:refused|reset|timed out)|connection to server .* failed|terminating connection|SSL SYSCALL|Broken pipe|SQLSTATE (?:08|53|57P)/i;
/** Of the system's calls, where nobody has given them a code of ours. */
const passingCalls: ReadonlySet<unknown> = new Set(
    "ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH EAI_AGAIN ENOTFOUND".split(" "),
);

/**
 * A lost connection and a full disk are: the step resumes, and what was copied is not copied twice. Everything else is not, as nobody knows
 * better: a refusal needs a person, and a defect (also that of a program of ours) fails the same way again.
 */
export function isResumable(thrown: unknown): boolean {
    const error = systemRefusal(thrown);
    if (error instanceof MigrationErrors) return error.errors.every(isResumable);
    if (error instanceof MigrationError) {
        if (passing.includes(error.code)) return true;
        return programs.includes(error.code) && passingWords.test(error.detail.found);
    }
    return error instanceof Error && "code" in error && passingCalls.has(error.code);
}
