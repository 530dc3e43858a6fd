/** Errors about media of other servers, and about handing media to a repository of its own. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const mediaErrors = {
    "SM-E0607": entry(
        "state",
        "somebody has the account that this run would make for a moment",
        "an account of a person is never used or removed by a migration",
        "choose another `run` id, or have `canaryUser` name an administrator of the homeserver; then no account is made",
    ),
} as const satisfies Record<string, CatalogueEntry>;
