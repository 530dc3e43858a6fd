/** SM-E097: a source that keeps its rows in SQLite, and its way into PostgreSQL. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e097Sqlite = {
    "SM-E0970": entry(
        "artefact",
        "this is not an SQLite database",
        "only a file that SQLite reads can be ported",
        "is it the file that `database.args.database` in homeserver.yaml names, unpacked and decrypted?",
    ),
    "SM-E0971": entry(
        "artefact",
        "the SQLite database is encrypted",
        "Synapse does not read encrypted databases, so this one was encrypted afterwards, and nothing here has its key",
        "decrypt it with the program that encrypted it, and name the result",
    ),
    "SM-E0972": entry(
        "artefact",
        "the SQLite database is damaged or incomplete",
        "SQLite passes over what it cannot read, and people would miss messages without anybody noticing",
        "copy it again together with its `-wal` file, after Synapse was stopped; if the original is like this, start Synapse and stop it once, or restore a backup. What does `sqlite3 homeserver.db 'PRAGMA integrity_check'` say on the source?",
    ),
    "SM-E0973": entry(
        "artefact",
        "rows of the SQLite database refer to rows that are not there",
        "PostgreSQL refuses such rows, in the middle of the port",
        "stop Synapse and delete the rows that `sqlite3 homeserver.db 'PRAGMA foreign_key_check'` names, after looking at what they are",
    ),
    "SM-E0974": entry(
        "locked",
        "the SQLite database is in use",
        "what is written after the copy would be lost, and a copy made meanwhile may be torn",
        "stop Synapse and every other program that has the file open: `fuser -v homeserver.db`",
    ),
    "SM-E0975": entry(
        "state",
        "Synapse could not bring the copy of the SQLite database up to date",
        "`synapse_port_db` refuses a database whose background updates are not finished",
        "start the source's Synapse, wait until `/_synapse/admin/v1/background_updates/status` shows none, stop it, and run again",
    ),
    "SM-E0976": entry(
        "verify",
        "synapse_port_db did not come to its end",
        "the target's database holds a part of the homeserver only",
        "remove what is named from the source with its Synapse stopped, or install a newer Synapse for the target, and run again: the port begins with an empty database",
    ),
    "SM-E0977": entry(
        "artefact",
        "texts of the SQLite database hold NUL characters",
        "PostgreSQL cannot store them, and synapse_port_db leaves such rows out without a word: a device less is a session less",
        "set config `sqliteNul` to `strip`, which takes the NUL characters out in the copy and keeps the rows; or mend the named rows while Synapse is stopped",
    ),
    "SM-W0977": entry(
        "artefact",
        "NUL characters are taken out of texts",
        "PostgreSQL cannot store them; what is repaired is in the report, and the original stays as it is",
        "nothing has to be done; do the named rows read well without them?",
    ),
    "SM-E0978": entry(
        "artefact",
        "rows cannot be told apart once NUL characters are taken out",
        "two rows would have the same key, or refer to others in vain, and rows are never left out",
        "look at the named rows and mend or delete one of each pair while Synapse is stopped: which of them is in use?",
    ),
    "SM-E0979": entry(
        "check",
        "the stack ports an SQLite file, and the homeserver has none",
        "`copy: port` has Synapse's own script carry the rows of an SQLite file over; this homeserver keeps them in PostgreSQL",
        "take `copy` out of the stack, which then copies from server to server: `pulumi config rm copy`",
    ),
} as const satisfies Record<string, CatalogueEntry>;
