/** SM-E093: dumps that something between pg_dump and the file has changed, and files that hold more than one database. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e093DumpFiles = {
    "SM-E0933": entry(
        "artefact",
        "a terminal or a shell has changed the dump on its way into the file",
        "bytes that pg_dump did not write are in it: lengths and checksums do not fit any more, and rows would have them",
        "dump again without a terminal: `docker exec CONTAINER pg_dump … > FILE` or `kubectl exec POD -- pg_dump … > FILE`, without `-t` or `-it`",
    ),
    "SM-E0934": entry(
        "artefact",
        "messages of a program stand in the dump",
        "where messages were written into the dump, rows may be missing, and an error that pg_dump ended with was overlooked",
        "dump again with messages and dump apart: `pg_dump … > FILE 2> FILE.messages`, without `2>&1` and without a terminal (`-t`, `-it`)",
    ),
    "SM-E0935": entry(
        "artefact",
        "the dump holds the databases of several homeservers",
        "which of them is meant cannot be told from the dump: one is moved, the others are left out",
        "set `source.databaseName` to the database that is meant",
    ),
    "SM-E0936": entry(
        "artefact",
        "a row of an INSERT is not what pg_dump writes",
        "the text of an INSERT is never run: what is no plain literal could be code, and guessing what it means would make another row",
        "was the file edited, or made by another program? Dump again with `pg_dump`, best without `--inserts`",
    ),
    "SM-E0937": entry(
        "artefact",
        "the dump has rows as COPY and as INSERT",
        "pg_dump writes all rows in one way: a file that has both was put together, and nobody knows what it lacks",
        "dump again into one file: `pg_dump --file FILE DATABASE`",
    ),
} as const satisfies Record<string, CatalogueEntry>;
