/** SM-E06: what a comparison or a probe finds different. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e06Proofs = {
    "SM-E0601": entry(
        "verify",
        "the restored homeserver is not the one that was dumped",
        "a difference that nobody sees today is lost history or a broken index tomorrow",
        "declare phase `stage` to go back to the source; then look at the evidence of the step, repair the named cause, and migrate again",
    ),
    "SM-E0602": entry(
        "verify",
        "the started target does not answer as the source did",
        "users would be logged out or other servers would reject it",
        "declare phase `stage` to go back to the source; does the stack have the source's pepper, macaroon secret and signing key?",
    ),
    "SM-E0603": entry(
        "verify",
        "the bundle is not what was written into it",
        "the receiver would restore less than the homeserver, or nothing at all, when the source is long gone",
        "declare phase `stage`, which starts the source again and removes the bundle; look at disk and memory, then declare `migrate` again",
    ),
    "SM-E0604": entry(
        "check",
        "the test account cannot be used on the source",
        "without its traces nobody can prove that passwords and tokens still work",
        "correct config `canary`; can the account log in with its password, and is the source running?",
    ),
    "SM-W0605": entry(
        "check",
        "the moved server will not be proven the same to its users",
        "a wrong pepper, lost sessions or a room that does not open would be found by users, when the source must never serve again",
        "set config `canaryUser` and the secret `canaryPassword` before phase `migrate`: may an account be made on the source for it?",
    ),
    "SM-E0607": entry(
        "state",
        "somebody has the account that this run would make for a moment",
        "an account of a person is never used or removed by a migration",
        "choose another `run` id, or have `canaryUser` name an administrator of the homeserver; then no account is made",
    ),
    "SM-E0608": entry(
        "verify",
        "media did not arrive in matrix-media-repo",
        "its importer passes over what it does not like without a word, and people would miss the media",
        "read the importer's log lines above; then run the same command again: what is there is not imported a second time",
    ),
} as const satisfies Record<string, CatalogueEntry>;
