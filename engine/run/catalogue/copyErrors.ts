/** What can be wrong with a source that is copied from server to server, and with the copy. */
import { entry } from "./entry.ts";

export const copyErrors = {
    "SM-E0540": entry(
        "check",
        "the database holds something that only an archive can carry",
        "a direct copy takes tables and sequences from one server to the other; what it leaves out would be missing on the target",
        "set `copy: archive`, or remove it from the source when nothing needs it",
    ),
} as const;
