/** Errors about what the assessment finds in the source and its database. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const checkErrors = {
    "SM-E0300": entry(
        "check",
        "the assessment found what blocks the migration",
        "everything after it would fail later, with the source stopped",
        "fix each finding as its line says, then run the same command again; `phase: assess` only looks",
    ),
    "SM-E0501": entry(
        "check",
        "the database is not UTF8 with collation C",
        "Synapse refuses to start on another encoding or collation, and indexes sorted by a locale break when the system's locale changes",
        "dump it, create a database with the command shown, restore into that one, and let Synapse use it",
    ),
    "SM-W0501": entry(
        "check",
        "the source's database does not have encoding UTF8 with collation and character type C",
        "its indexes may hide duplicate rows; the target gets UTF8 and C",
        "let the thorough assessment look for duplicates (phase `assess`), and rehearse first",
    ),
    "SM-E0502": entry(
        "check",
        "the PostgreSQL server is older than Synapse supports",
        "Synapse requires PostgreSQL 14 or newer and does not start on an older server",
        "upgrade the server to PostgreSQL 14 or newer first",
    ),
    "SM-E0503": entry(
        "check",
        "the target's PostgreSQL server is older than the source's",
        "a dump of a newer server may use what an older one does not know",
        "use a target server of the source's major version or newer",
    ),
    "SM-E0504": entry(
        "check",
        "the PostgreSQL client programs are older than the server",
        "an older pg_dump refuses a newer server",
        "install the client programs of the server's major version or newer and name their directory",
    ),
    "SM-E0505": entry(
        "check",
        "the source's database is SQLite",
        "the copy of a homeserver's rows needs PostgreSQL on both sides",
        "move the source to PostgreSQL first: `synapse_port_db --sqlite-database homeserver.db --postgres-config homeserver.yaml`",
    ),
    "SM-E0506": entry(
        "check",
        "the database is too new for the target's Synapse, or half upgraded",
        "Synapse refuses to start on a database that is newer than it understands",
        "install the named or a newer Synapse for the target, or let the source finish its upgrade; which version does the source run?",
    ),
    "SM-W0506": entry(
        "check",
        "the source's schema is newer than the target's Synapse writes",
        "the target can read it, but was never tested against it",
        "install the source's Synapse version for the target",
    ),
    "SM-W0507": entry(
        "check",
        "background updates of the source are not finished",
        "the target goes on with them in its first minutes, and its indexes change meanwhile",
        "wait until `/_synapse/admin/v1/background_updates/status` says there are none, then migrate",
    ),
    "SM-E0508": entry(
        "check",
        "this is not the database of a Synapse homeserver",
        "moving another database would leave the homeserver behind",
        "is the name of the database right? Compare it with the `database:` section of homeserver.yaml",
    ),
    "SM-E0509": entry(
        "check",
        "the role of the target's Synapse exists and its password is not known",
        "giving the role a new password would lock out whoever uses it today",
        "write its password into the named file (mode 0600), or choose another role",
    ),
    "SM-E0511": entry(
        "check",
        "an extension that the source uses is not available on the target",
        "objects that need the extension cannot be restored",
        "install the extension on the target server, or drop it from the source if nothing uses it",
    ),
    "SM-E0512": entry(
        "check",
        "a sequence is behind the rows or positions that it numbers",
        "Synapse refuses to start, or hands out a number a second time",
        "set the sequence with the statement shown, while Synapse is stopped",
    ),
    "SM-W0512": entry(
        "check",
        "a sequence is not where it should be, and no homeserver fails on it",
        "Synapse may hand out a number that it takes for seen",
        "set the sequence with the statement shown, while Synapse is stopped",
    ),
    "SM-E0513": entry(
        "check",
        "rows are there twice that a unique index forbids",
        "the damaged index was not noticed on the source; the restored database would miss it and Synapse would fail later",
        "find the duplicates with `SELECT ... GROUP BY ... HAVING count(*) > 1` with `enable_indexscan` off, delete the surplus rows on the source, and dump again",
    ),
    "SM-E0515": entry(
        "check",
        "the database role lacks a right",
        "a table that cannot be read cannot be moved",
        "connect with the role that owns the database, or grant it what is named",
    ),
    "SM-E0516": entry(
        "check",
        "there is no such database",
        "without it there is nothing to read from or write to",
        "is the name right? List the databases with `psql -l`",
    ),
    "SM-W0518": entry(
        "check",
        "nothing is known of what a sequence numbers",
        "it is carried with its value, but nobody can say whether that value is right",
        "is it another program's? Then nothing is to be done",
    ),
    "SM-E0604": entry(
        "check",
        "the test account cannot be used on the source",
        "without its traces nobody can prove that passwords and tokens still work",
        "correct config `canary`; can the account log in with its password, and is the source running?",
    ),
    "SM-W0703": entry(
        "check",
        "application services come along",
        "a bridge that both servers call answers everything twice, and one the target cannot reach answers nothing",
        "check that each application service's `url` can be reached from the target",
    ),
    "SM-E0704": entry(
        "check",
        "a part of the source cannot be moved by this route",
        "the target would look complete and miss what users depend on",
        "see the evidence for the part and the way to move it",
    ),
    "SM-W0704": entry(
        "check",
        "a part of the source needs work of its own on the target",
        "without it the target starts differently from the source, or not at all",
        "see the evidence for the part and what it needs",
    ),
} as const satisfies Record<string, CatalogueEntry>;
