/** SM-E084: what a target that is about to serve has other than what was written and checked. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e084Target = {
    "SM-E0840": entry(
        "verify",
        "the target's Synapse cannot use its media",
        "every file was read as root and is whole; Synapse would answer people's pictures and uploads with errors nevertheless",
        "give the named files and directories to the user that the target's Synapse runs as, then run the same command again",
    ),
} as const satisfies Record<string, CatalogueEntry>;
