/** SM-E098: what can keep single tables of a backup from being merged into a database that is there. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e098Tables = {
    "SM-E0980": entry(
        "usage",
        "a table that was asked for is not on both sides",
        "rows can only be merged from a table of the backup into the same table of the homeserver",
        "is the name right, and was the backup made with the rows of this table? `--tables` takes names of Synapse's tables",
    ),
    "SM-E0981": entry(
        "check",
        "a foreign key would break",
        "rows would refer to rows that are not there, which PostgreSQL refuses",
        "add the table that the rows refer to to `--tables`, or leave this one out",
    ),
    "SM-E0982": entry(
        "check",
        "two rows would have what only one may have",
        "a unique index forbids it, and Synapse relies on the index",
        "which of the rows is right? With `--replace`, rows with the same key take the backup's values",
    ),
    "SM-E0983": entry(
        "check",
        "the table makes no sense without rows of another one",
        "Synapse expects what belongs together to be there together, and fails on the first request that meets one part alone",
        "add the table that is named to `--tables`, or restore the whole backup",
    ),
    "SM-E0984": entry(
        "check",
        "rows of the backup have numbers that the homeserver has not handed out yet",
        "Synapse would refuse to start, or hand out the same number a second time",
        "is the backup from before the homeserver lost its rows, and of the same homeserver? A later one is restored whole",
    ),
    "SM-E0985": entry(
        "state",
        "the plan does not describe what is there any more",
        "what was checked and agreed to is not what would happen",
        "discard the side schema with `--discard`, and make the plan again from the backup",
    ),
    "SM-E0986": entry(
        "locked",
        "someone is connected to the database that rows are to be merged into",
        "Synapse keeps rows in memory and would neither see what is merged nor leave it alone",
        "stop Synapse, its workers, poolers and every psql, then run the same command again",
    ),
    "SM-E0987": entry(
        "check",
        "the columns of the backup do not fit those of the homeserver",
        "a value would have to be made up or changed",
        "restore the backup whole into a new database, let Synapse bring it up to date, and take a new backup of that",
    ),
    "SM-E0988": entry(
        "usage",
        "this is neither a plan nor a side schema of ours",
        "only what this program made is applied or dropped by it",
        "give the `tables-plan-….json` that `synapse-migrate tables` wrote",
    ),
    "SM-E0989": entry(
        "verify",
        "the merge did not come out as planned",
        "a trigger or a rule has changed rows on their way, so nothing of the merge was kept",
        "which triggers does the table have? `\\d` in psql shows them",
    ),
} as const satisfies Record<string, CatalogueEntry>;
