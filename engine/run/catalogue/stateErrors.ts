/** Errors about what has been done before: journals, markers, fences, services; who else works on the same thing; what only a person can sort out; what a comparison or a probe finds different. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const stateErrors = {
    "SM-E0213": entry(
        "state",
        "the result of a step cannot be read",
        "what follows builds on this result",
        "does the stack hold results of another version of the program? Start a new run (config `run`)",
    ),
    "SM-E0601": entry(
        "verify",
        "the restored homeserver is not the one that was dumped",
        "a difference that nobody sees today is lost history or a broken index tomorrow",
        "declare phase `stage` to go back to the source; then look at the evidence of the step, repair the named cause, and migrate again",
    ),
    "SM-E0602": entry(
        "verify",
        "the started target does not answer as the source did",
        "users would be logged out or other servers would reject it",
        "declare phase `stage` to go back to the source; does the stack have the source's pepper, macaroon secret and signing key?",
    ),
    "SM-E0701": entry(
        "operator",
        "the journal is damaged or belongs to another run",
        "without a journal that can be trusted nobody knows which steps have been done",
        "look at the named line; restore the run directory from where it was changed, or start a new run",
    ),
    "SM-E0702": entry(
        "state",
        "the source still runs, or was started again",
        "two servers with one name and one signing key split every room they are in",
        "stop what is named, and whatever restarts it (cron, a watchdog, an HA manager); then run the same command again",
    ),
    "SM-E0703": entry(
        "state",
        "the fence token is missing or not the one that belongs here",
        "a target must not be started for a source that somebody else fenced, or that runs again",
        "declare phase `stage`, then `migrate` again: the source is fenced anew",
    ),
    "SM-E0705": entry(
        "state",
        "this step was already done with another specification",
        "repeating a done step with other inputs would mix two migrations",
        "undo the step first by declaring an earlier phase, or give the run a new id (config `run`)",
    ),
    "SM-E0706": entry(
        "locked",
        "another process works on this run",
        "two processes that write to the same target destroy it",
        "is another `pulumi up` running? Wait for the named process to end, then run this one again",
    ),
    "SM-E0707": entry(
        "state",
        "the target was committed",
        "since the commit the target is the only homeserver; restoring over it would lose what was said since",
        "nothing needs to be restored; to move it again, make a stack whose source it is",
    ),
    "SM-E0708": entry(
        "state",
        "the database is marked by another run, or is further than this step expects",
        "two runs that work on the same database destroy each other's work",
        "undo the other run first by declaring its stack's phase `stage`, or choose another database name",
    ),
    "SM-E0709": entry(
        "locked",
        "someone is connected to a database that must be renamed",
        "PostgreSQL does not rename a database under a session, and ending sessions of others is not ours to do",
        "is a homeserver, pooler or psql still connected? Stop it, then run the same command again",
    ),
    "SM-E0710": entry(
        "state",
        "the service's process cannot be identified",
        "a process number is given away again: a signal to it may end something else",
        "is `service.pidFile` the `pid_file` of the homeserver's configuration, and is it up to date?",
    ),
    "SM-W0710": entry(
        "state",
        "the source's service is not running",
        "a source that is down before the fence may have been stopped for a reason, and may be started again by what watches it",
        "is this the right pid file? Who stopped it, and what could start it again?",
    ),
    "SM-E0714": entry(
        "state",
        "the gateway is open for another run",
        "behind an open gateway is a server that people use; closing it would cut them off",
        "was that migration committed? Then there is nothing left to migrate; else take it back with `pulumi destroy` of its stack",
    ),
    "SM-E0912": entry(
        "verify",
        "the dump and the database disagree",
        "the source was written to while it was dumped, or the dump is not complete",
        "is a process of the source still running? Fence it, then make the dump again",
    ),
    "SM-E1191": entry(
        "operator",
        "something of the rehearsal was left behind",
        "a server that goes on running holds ports and memory, and a second rehearsal may meet it",
        "end the named process and remove the named directory; both are only the rehearsal's",
    ),
    "SM-E1192": entry(
        "verify",
        "the moved homeserver is not the one that was put in",
        "what a rehearsal loses, a real migration loses too",
        "read the failed checks above; run again with `--keep` and look at the directory that is named",
    ),
    "SM-E1205": entry(
        "state",
        "something that this stack did not write is in the way",
        "it may be the configuration of another homeserver, which would be overwritten",
        "choose another target directory; is a homeserver already set up there?",
    ),
    "SM-E1501": entry(
        "operator",
        "an earlier phase is declared after the commit",
        "the target has served: going back to the source loses what was written since, and two servers sign for one name",
        "declare phase `cutover` or `finish`; is the target broken? Repair it in place, the source must not serve again",
    ),
} as const satisfies Record<string, CatalogueEntry>;
