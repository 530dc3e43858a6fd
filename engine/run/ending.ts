/** How `synapse-migrate` ends when something went wrong: what it says last, and its exit code. */
import { CommanderError } from "commander";
import { endingBytes } from "./boundedOutput.ts";
import { ErrorWithAftermath, MigrationError, MigrationErrors } from "./errors.ts";
import { fittingBlocks } from "./fittingBlocks.ts";
import { redact } from "./redaction.ts";
import { systemRefusal } from "./systemErrors.ts";

export interface Ending {
    readonly lines: readonly string[];
    readonly exitCode: number;
}

const internalError = 1;
/** 128 + SIGINT: stopped from outside; the step can be resumed. */
const interrupted = 130;

/**
 * @param thrown  what nobody has caught
 * @param stopped  of the step that was running, where there was one: what fails because it was stopped is no fault of its own
 */
export function endingOf(thrown: unknown, stopped: AbortSignal | undefined): Ending {
    if (!(thrown instanceof ErrorWithAftermath) || stopped?.aborted === true)
        return endingWithin(thrown, stopped, endingBytes);
    const last = redact(thrown.aftermath.block);
    const { lines, exitCode } = endingWithin(thrown.error, stopped, endingBytes - Buffer.byteLength(last) - 2);
    return { lines: [...lines, "", last], exitCode };
}

/** @param bytes  all that it may take */
function endingWithin(thrown: unknown, stopped: AbortSignal | undefined, bytes: number): Ending {
    const error = systemRefusal(thrown);
    if (stopped?.aborted === true) {
        const reason: unknown = stopped.reason;
        return { lines: [redact(reason instanceof Error ? reason.message : String(reason))], exitCode: interrupted };
    }
    if (error instanceof MigrationError || error instanceof MigrationErrors) {
        const errors = error instanceof MigrationError ? [error] : error.errors;
        const blocks = errors.map(({ code, block }) => ({ name: code, text: redact(block) }));
        return { lines: [fittingBlocks(blocks, bytes - 1)], exitCode: error.exitCode };
    }
    if (error instanceof CommanderError) {
        return { lines: error.code === "usage" ? [error.message] : [], exitCode: error.exitCode };
    }
    const defect =
        "this is a defect of synapse-migration: it met something that it does not expect. The step can be run again.";
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const room = bytes - Buffer.byteLength(defect) - 2;
    return {
        lines: [fittingBlocks([{ name: "a defect", text: redact(text) }], room), defect],
        exitCode: internalError,
    };
}
