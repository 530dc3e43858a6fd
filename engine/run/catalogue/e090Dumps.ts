/** SM-E090: dumps. What they hold is read as a program, and refused where it is not what pg_dump writes. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e090Dumps = {
    "SM-E0901": entry(
        "artefact",
        "the plain dump is cut off or damaged",
        "psql restores the part that is there, leaves out rows, keys and sequences, and ends with exit code 0",
        "copy the file again from where it was made and compare its SHA-256, or make the dump again; did pg_dump end with exit code 0?",
    ),
    "SM-E0902": entry(
        "artefact",
        "the dump holds a command for psql",
        "psql would run it as the person who restores: a dump that holds one was altered or put together by hand",
        "make the dump again with pg_dump; where does the file come from?",
    ),
    "SM-E0903": entry(
        "artefact",
        "the dump holds a statement that pg_dump does not write for a homeserver",
        "a dump is a program: what is not known to be harmless is not run",
        "is the object another program's? What is in a schema of its own is left out by `pg_dump --exclude-schema=SCHEMA`, a table by `--exclude-table`; else drop it from the source",
    ),
    "SM-E0904": entry(
        "artefact",
        "the dump is not UTF-8 text",
        "the server would keep bytes that no client can read, and Synapse fails when it meets them",
        "dump with `pg_dump --encoding=UTF8`; where single bytes are named, copy the file again, or repair the row on the source",
    ),
    "SM-E0905": entry(
        "artefact",
        "a program cannot read the dump",
        "what cannot be read cannot be restored",
        "use the pg_restore of the major version that made the dump, or a newer one",
    ),
    "SM-E0906": entry(
        "artefact",
        "a file of the dump is missing or altered",
        "pg_restore does not notice flipped bits or a shortened file and ends with exit code 0",
        "make the dump again, or copy the named file again from where it was made",
    ),
    "SM-E0907": entry(
        "artefact",
        "the dump is not a whole dump of one database",
        "a homeserver that lacks tables, or the rows of one, is not the same server",
        "make the dump with `pg_dump DATABASE`, without --schema-only, --data-only, --table and --exclude-table",
    ),
    "SM-W0908": entry(
        "artefact",
        "the dump leaves one-time keys out",
        "clients upload new ones; until then, new encrypted sessions with them fall back to their fallback keys",
        "nothing is to be done: this is what Synapse's guide for backups asks for",
    ),
    "SM-E0909": entry(
        "artefact",
        "the dump is of another homeserver",
        "a database restored under another server name is of no use to anyone",
        "is the run directory the right one? Compare its manifest with the stack's `serverName`",
    ),
} as const satisfies Record<string, CatalogueEntry>;
