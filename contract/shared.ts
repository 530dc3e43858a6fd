/** Shapes that the contracts of several steps share. */
import { z } from "zod";

/** An absolute path on the machine that runs the step. */
export const absolutePath = z.string().startsWith("/").max(4096);
/** A user of the system, by its name as useradd(8) takes it. */
export const systemUser = z.string().regex(/^[a-z_][a-z0-9_-]{0,31}$/, "must be the name of a system user");
/** A TCP port; 0 asks for a free one where a step says so. */
export const port = z.number().int().min(0).max(65535);
/** Lower-case hexadecimal SHA-256. */
export const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
/** An instant as ISO 8601 in UTC. */
/** Of a list of media without files: how many, and the SHA-256 of their ids. See `acceptanceOf` in `engine/media/missingMedia.ts`. */
export const acceptedList = z
    .string()
    .regex(/^[1-9][0-9]{0,8}:[0-9a-f]{64}$/, "must be as the refusal shows it: <count>:<sha256>");
export const instant = z.iso.datetime();
export const seconds = z.number().min(0);
export const count = z.number().int().min(0);

/** The run a step belongs to. */
export const runReference = z.strictObject({
    /** Names directories and databases. */
    id: z.string().regex(/^[a-z0-9]{1,16}$/),
    /** Where the run keeps its journal, dump and evidence. Made with mode 0700; never below /tmp. */
    directory: absolutePath,
    /** The target may be destroyed whole even after its commit: a rehearsal, a test stack. */
    disposable: z.boolean().optional(),
    /** Names the owner to people, in the records at source and target. */
    stack: z.string().max(100).optional(),
    /** Directory of all that the target owns, where the record is of who owns it. Absent for a target that is files for somebody else. */
    target: absolutePath.optional(),
});
export type RunReference = z.infer<typeof runReference>;

/** How a check ended. `not-run` never counts as passed. */
export const checkState = z.enum(["passed", "failed", "warning", "not-run"]);
export type CheckState = z.infer<typeof checkState>;

/** One named check. */
export const check = z.strictObject({
    id: z.string(),
    state: checkState,
    /** What was seen, or why it was not run. One line, never a secret. */
    evidence: z.string(),
});
export type Check = z.infer<typeof check>;

/** Something the assessment found. */
export const finding = z.strictObject({
    /** A code of the error catalogue with its letter: `SM-E0801` blocks, `SM-W0507` warns, `SM-I0704` informs. */
    id: z.string(),
    severity: z.enum(["error", "warning", "info"]),
    evidence: z.string(),
    fix: z.string(),
});
export type Finding = z.infer<typeof finding>;

/** How the database is written into a bundle: as another provider's guide asks for it, or for a stack of one's own, faster. */
export const databaseFormat = z.enum(["plain", "directory"]);
