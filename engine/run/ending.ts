/** How `synapse-migrate` ends when something went wrong: what it says last, and its exit code. */
import { CommanderError } from "commander";
import { MigrationError, MigrationErrors } from "./errors.ts";
import { redact } from "./redaction.ts";

export interface Ending {
    readonly lines: readonly string[];
    readonly exitCode: number;
}

const internalError = 1;
/** 128 + SIGINT: stopped from outside; the step can be resumed. */
const interrupted = 130;

/**
 * @param stopped  of the step that was running, where there was one: what fails because it was stopped is no fault of its own
 */
export function endingOf(error: unknown, stopped: AbortSignal | undefined): Ending {
    if (stopped?.aborted === true) {
        const reason: unknown = stopped.reason;
        return { lines: [redact(reason instanceof Error ? reason.message : String(reason))], exitCode: interrupted };
    }
    if (error instanceof MigrationError || error instanceof MigrationErrors) {
        return { lines: [redact(error.block)], exitCode: error.exitCode };
    }
    if (error instanceof CommanderError) {
        return { lines: error.code === "usage" ? [error.message] : [], exitCode: error.exitCode };
    }
    const defect =
        "this is a defect of synapse-migration: it met something that it does not expect. The step can be run again.";
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { lines: [redact(text), defect], exitCode: internalError };
}
