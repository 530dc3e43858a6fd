/** SM-E07: what has been done before, and who else works on the same thing: journals, markers, fences, services. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e07State = {
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
    "SM-E0711": entry(
        "service",
        "a server did not end in time",
        "a homeserver that is killed may lose what it has not yet written, so nobody but you may kill it",
        "look at its log; is it still working something off? Wait for it to end, then run the same command again",
    ),
    "SM-E0712": entry(
        "service",
        "a server did not come up",
        "nothing after this step makes sense without it",
        "read its log file; what do its last lines complain about?",
    ),
    "SM-E0713": entry(
        "state",
        "the directory of the bundle is not the one that this run has made",
        "files of somebody else would be sent to the receiver, or removed",
        "name another `target.directory`, or move away what is there; is it an earlier run's? Declare phase `assess` of that one first",
    ),
    "SM-W0713": entry(
        "state",
        "A source that comes as files cannot be fenced",
        "If the old homeserver still runs, or is started again, two servers sign as one: rooms fork, and messages cannot be decrypted.",
        "stop the old server for good, or have its provider do it, and point DNS and well-known away from it; is it stopped?",
    ),
    "SM-E0714": entry(
        "state",
        "the gateway is open for another run",
        "behind an open gateway is a server that people use; closing it would cut them off",
        "was that migration committed? Then there is nothing left to migrate; else take it back with `pulumi destroy` of its stack",
    ),
    "SM-E0715": entry(
        "state",
        "the journal does not know what the stack says was done",
        "without its own journal nobody can tell how far the move got: going on could undo it, or do it twice",
        "is `workDirectory` of the stack the one that it was made with? Put that directory back, whole. Was the step taken back while Pulumi was killed? Then declare the phase before it, and this one again",
    ),
    "SM-E0730": entry(
        "state",
        "what has the marker's name is not a marker",
        "a trigger, a rule or a view there is code of the database's owner, which would run with the rights of whoever reads or writes it",
        "what laid it there? Look at the database as its owner, never as a superuser; is it a run's own? Then drop it, take that run back, and look where its data came from",
    ),
} as const satisfies Record<string, CatalogueEntry>;
