/** Every error this project raises on purpose: one entry a code. `docs/errors.md` is made from this list. */

/** Families share an exit code of `synapse-migrate`: see {@link exitCodes}. */
export type ErrorFamily =
    | "usage"
    | "check"
    | "verify"
    | "locked"
    | "state"
    | "identity"
    | "artefact"
    | "secret"
    | "service"
    | "resources"
    | "operator";

/** Exit codes of `synapse-migrate`. An exit code that is not listed here is a failure too. */
export const exitCodes: Readonly<Record<ErrorFamily, number>> = {
    usage: 2,
    check: 3,
    verify: 5,
    locked: 6,
    state: 7,
    identity: 8,
    artefact: 9,
    secret: 10,
    service: 11,
    resources: 12,
    operator: 14,
};

export interface CatalogueEntry {
    readonly family: ErrorFamily;
    /** One line, no final dot: what is the case. */
    readonly title: string;
    /** Why it matters to a homeserver. */
    readonly why: string;
    /** What to do; ends in a command or a question. */
    readonly fix: string;
}

const entry = (family: ErrorFamily, title: string, why: string, fix: string): CatalogueEntry => ({
    family,
    title,
    why,
    fix,
});

/** Keyed by code. Codes are never given a second meaning. */
export const errorCatalogue = {
    "SM-E0200": entry(
        "usage",
        "the specification of a step is not valid",
        "a step that guesses what it was asked for may act on the wrong server",
        "correct the named fields; is this step called by an older or newer version of the program?",
    ),
    "SM-E0701": entry(
        "operator",
        "the journal is damaged or belongs to another run",
        "without a journal that can be trusted nobody knows which steps have been done",
        "look at the named line; restore the run directory from where it was changed, or start a new run",
    ),
    "SM-E0705": entry(
        "state",
        "this step was already done with another specification",
        "repeating a done step with other inputs would mix two migrations",
        "undo the step first by declaring an earlier phase, or give the run a new id (config `run`)",
    ),
    "SM-E0706": entry(
        "locked",
        "another process works on this run",
        "two processes that write to the same target destroy it",
        "is another `pulumi up` running? Wait for the named process to end, then run this one again",
    ),
    "SM-E1101": entry(
        "service",
        "a program that a step needs failed",
        "a step never goes on after one of its programs failed, whatever it left behind",
        "read the program's last lines above; when its cause is gone, run the same command again: the step resumes",
    ),
    "SM-E1202": entry(
        "resources",
        "the work directory is not fit to keep a homeserver's dump and keys",
        "what lies there may vanish in the middle of a migration, or be read by others",
        "set config `workDirectory` to a directory of your own on a local disk, mode 0700",
    ),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;
