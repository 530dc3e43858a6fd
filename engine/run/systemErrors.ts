/** What the operating system refuses is no defect of this program, whichever of its files it hits: each such refusal has a code. */
import { statfsSync } from "node:fs";
import { dirname } from "node:path";
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
    const { path, message, ...rest } = error as NodeJS.ErrnoException;
    const code = isFullUnder(rest.code, rest.syscall, path) ? "ENOSPC" : rest.code;
    if (!noRoom.has(code) && !refusals.has(code)) return error;
    const found = code === rest.code ? redact(message) : `no space left on the device (${redact(message)})`;
    const detail = { where: path ?? "a file of the run or the target", found, changed: resumable };
    return new MigrationError(noRoom.has(code) ? "SM-E1201" : "SM-E1210", { ...detail, cause: error });
}

/**
 * `mkdir` with `recursive` looks for the directory after whatever refusal, and reports that it is not there (node::fs::MKDirpAsync,
 * src/node_file.cc): on a full disk the parent is there, and no block is free.
 */
function isFullUnder(code: string | undefined, syscall: string | undefined, path: string | undefined): boolean {
    if (code !== "ENOENT" || syscall !== "mkdir" || path === undefined) return false;
    try {
        const { bavail, ffree } = statfsSync(dirname(path));
        return bavail === 0 || ffree === 0;
    } catch {
        return false;
    }
}
