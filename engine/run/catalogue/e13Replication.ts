/** SM-E13: a target that follows its source until the cut-over. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e13Replication = {
    "SM-E1301": entry(
        "check",
        "the source's PostgreSQL server cannot be followed",
        "changes are read out of its write-ahead log, which must have them, and through a connection to the server itself",
        "set what is named, which may need a restart of the server; or choose `copy: direct`, which needs nothing of this",
    ),
    "SM-W1301": entry(
        "check",
        "the source keeps more, or less, write-ahead log for a target than is good",
        "a target that does not read for long fills the source's disk, or is cut off and has to be copied again",
        "set max_slot_wal_keep_size as shown; it needs no restart",
    ),
    "SM-E1302": entry(
        "check",
        "a database role lacks a right that replication needs",
        "without it the target cannot follow, which would be found out half-way",
        "let an administrator run the statement shown",
    ),
    "SM-W1302": entry(
        "check",
        "a slot of this program is not read, or about to be worthless",
        "while nobody reads it the source's disk fills; once the server has removed what it needs, the database has to be copied again",
        "does the target's server run, and can it connect to the source? One that is forgotten: `npx synapse-migrate slots --config <homeserver.yaml> --drop <name>`",
    ),
    "SM-E1303": entry(
        "check",
        "the source has something that replication does not carry",
        "the target would miss it, or keep what it was when the copy was made",
        "remove what is named if nothing needs it; or choose `copy: direct`, which carries everything",
    ),
    "SM-E1304": entry(
        "check",
        "the target's PostgreSQL server cannot subscribe to the source",
        "it is the target's server that connects to the source's, with an address and a password of its own",
        "can the target's machine reach the named address, and does the source's pg_hba.conf allow it? Set `replication.host` and `replication.port` where the source has another address there",
    ),
    "SM-E1305": entry(
        "state",
        "the target does not follow the source",
        "what the source writes is not on the target; the slot keeps it, and fills the source's disk meanwhile",
        "what does the log of the target's PostgreSQL server say? If it cannot go on, start anew with another run id (config `run`), or `pulumi destroy`",
    ),
    "SM-E1306": entry(
        "state",
        "definitions on the source have changed since they were copied",
        "changes of tables, indexes and schema versions are not replicated: the target would be another database",
        "was the homeserver upgraded, or did a background update finish? Start anew with another run id (config `run`), and upgrade after the migration",
    ),
    "SM-E1307": entry(
        "verify",
        "the target does not have what the source has",
        "a difference that nobody sees today is lost history tomorrow",
        "declare phase `stage` to go back to the source; then start anew with another run id (config `run`)",
    ),
    "SM-E1308": entry(
        "operator",
        "something of the replication was left behind",
        "a slot that nobody reads keeps write-ahead log until the source's disk is full",
        "make reachable what is named and run the same command again, or run the statements shown as an administrator",
    ),
    "SM-E1309": entry(
        "locked",
        "a table cannot be locked for a moment",
        "its replica identity can only be changed while no transaction uses it",
        "which transaction holds it? `SELECT pid, application_name, xact_start FROM pg_stat_activity ORDER BY xact_start` names the oldest",
    ),
    "SM-E1310": entry(
        "state",
        "there is nothing that follows any more",
        "a target that has taken over the last change is a server of its own; what the source writes afterwards does not reach it",
        "to migrate again after going back to the source, start anew with another run id (config `run`)",
    ),
    "SM-E1311": entry(
        "usage",
        "this slot is not dropped by hand",
        "a target that follows would lose what the source writes from then on, and another program's slot is that program's",
        "list the slots with `npx synapse-migrate slots --config <homeserver.yaml>`; a target that follows is ended with `pulumi destroy`",
    ),
} as const satisfies Record<string, CatalogueEntry>;
