/** What every documented error says, and the exit code it leads to. */

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

export const entry = (family: ErrorFamily, title: string, why: string, fix: string): CatalogueEntry => ({
    family,
    title,
    why,
    fix,
});

/** Why it matters that a bundle is not used when some of it is missing or damaged. */
export const nothingUsed = "part of a homeserver would be restored as if it were the whole";
