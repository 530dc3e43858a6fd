/** What the operating system refuses is no defect of this program, whichever of its files it hits: each such refusal has a code. */
import { MigrationError, MigrationErrors } from "./errors.ts";
import { redact } from "./redaction.ts";

/** `ENOSPC` and `EDQUOT` (errno(3)). */
const noRoom: ReadonlySet<unknown> = new Set(["ENOSPC", "EDQUOT"]);
/** Refusals of the machine, and not of what was asked of it: those of a file that is not there, for example, are for the step to expect. */
const refusals: ReadonlySet<unknown> = new Set(["EROFS", "EIO", "EMFILE", "ENFILE", "ENOMEM", "EACCES", "EPERM"]);

const resumable = "what the step had done until then; run again, it goes on from there";

/** @returns SM-E1201 or SM-E1210 for what the system refused; anything else as it was given */
export function systemRefusal(error: unknown): unknown {
    if (error instanceof MigrationError || error instanceof MigrationErrors || !(error instanceof Error)) return error;
    const { code, path, message } = error as NodeJS.ErrnoException;
    if (!noRoom.has(code) && !refusals.has(code)) return error;
    const detail = { where: path ?? "a file of the run or the target", found: redact(message), changed: resumable };
    return new MigrationError(noRoom.has(code) ? "SM-E1201" : "SM-E1210", { ...detail, cause: error });
}
