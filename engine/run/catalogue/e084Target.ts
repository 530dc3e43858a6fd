/** SM-E084: what a target that is about to serve has other than what was written and checked. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e084Target = {
    "SM-E0840": entry(
        "verify",
        "the target's Synapse cannot use its media",
        "every file was read as root and is whole; Synapse would answer people's pictures and uploads with errors nevertheless",
        "give the named files and directories to the user that the target's Synapse runs as, then run the same command again",
    ),
    "SM-E0841": entry(
        "state",
        "files of the target are not as they were written",
        "the target would start as another server than the one that was checked: another secret logs people out, another setting may delete history or open registration",
        "put the named files back as they were. Was the change meant? Make it in the source's configuration, declare phase `assess`, which takes the files back, then `migrate` again; or make it after the commit",
    ),
    "SM-E0842": entry(
        "check",
        "a check could not be made",
        "what it would have found is not known, and would be met in the middle of the move",
        "mend what is named; is a table missing, or the database another program's? Then run the same command again",
    ),
    "SM-E0843": entry(
        "check",
        "the target's server changes what Synapse's sessions do",
        "Synapse would find other tables, write nothing, or lose what it has told people is sent",
        "`ALTER ROLE … RESET …` or `ALTER DATABASE … RESET …` what is named, as a superuser; then run the same command again",
    ),
} as const satisfies Record<string, CatalogueEntry>;
