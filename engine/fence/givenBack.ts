/** A fence that failed gives the source back: nothing was copied yet, so it may serve again at once. */
import { MigrationError, MigrationErrors } from "../run/errors.ts";
import type { ErrorCode } from "../run/errorCatalogue.ts";
import type { StepRun } from "../run/step.ts";
import { ranBefore, type ServiceControl } from "../services/serviceControl.ts";
import type { FenceHolder } from "./fenceHolder.ts";

/** It was sent SIGTERM and is still there. */
const endsSlowly = "SM-E0711" satisfies ErrorCode;

export interface FailedFence {
    readonly run: StepRun;
    readonly holder: FenceHolder;
    readonly service: ServiceControl;
    /** An earlier run fenced the source, and may have got far: its target may serve. */
    readonly takenOver: boolean;
    /** The source has been told to stop, or may have been. */
    readonly told: boolean;
    /** Restores the setting, starts the source as it was, and gives the fence up. */
    readonly lift: () => Promise<void>;
}

/**
 * Gives the source back after a failure, an interruption too.
 *
 * @returns the error to end with: the same one, which says what became of the source; an interruption has no words of its own, so it is said
 *     as progress as well
 */
export async function givenBack(error: unknown, fence: FailedFence): Promise<unknown> {
    const changed = await outcome(error, fence);
    fence.run.progress.say(changed);
    const told = ({ code, detail }: MigrationError) => new MigrationError(code, { ...detail, changed });
    if (error instanceof MigrationErrors) return new MigrationErrors(error.errors.map(told));
    return error instanceof MigrationError ? told(error) : error;
}

async function outcome(error: unknown, { run, holder, service, takenOver, told, lift }: FailedFence): Promise<string> {
    if (takenOver)
        return "the source stays stopped: an earlier run has fenced it, and may have moved it; declare phase `stage` to take this run back";
    try {
        const ran = ranBefore(holder.service);
        // As long as it is there it would pass for one that serves.
        const wasStopped = ran && (await service.hasEnded(holder.service, told && endsByItself(error, run.signal)));
        await lift();
        // As its undo would have it: a next attempt begins anew, with an instant of its own at which the downtime begins.
        for (const kind of ["undo", "undone"] as const)
            await run.journal.append({ step: "fence", phase: "migrate", kind });
        return wasStopped
            ? "the source was stopped and was started again: it serves as before"
            : !ran
              ? "nothing: the source did not run before, and was not started"
              : "nothing: the source was not stopped";
    } catch (failure) {
        const why = failure instanceof Error ? failure.message : String(failure);
        return `THE SOURCE IS DOWN: it was stopped, and could not be started again (${why}). Declare phase \`stage\`, which tries once more, or start it yourself`;
    }
}

/** The wait for the homeserver's end was given up, and it may end at any moment. */
function endsByItself(error: unknown, signal: AbortSignal): boolean {
    return signal.aborted || (error instanceof MigrationError && error.code === endsSlowly);
}
