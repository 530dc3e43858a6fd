/** SM-E10: files with secrets. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e10SecretFiles = {
    "SM-E1003": entry(
        "secret",
        "a secret file is not safe or not usable",
        "Synapse makes a new secret in place of a missing one, and what others can read or replace is no secret",
        "correct the named file: a regular file of its owner, mode 0600",
    ),
    "SM-W1003": entry(
        "secret",
        "a secret file of the source can be read by others",
        "whoever can log in to the machine knows it",
        "`chmod 0640` the named file",
    ),
    "SM-E1004": entry(
        "secret",
        "the PostgreSQL server refuses the login",
        "without a login nothing can be read or written",
        "check role and password; does pg_hba.conf allow this role from here?",
    ),
} as const satisfies Record<string, CatalogueEntry>;
