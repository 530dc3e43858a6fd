/** Every error this project raises on purpose: one entry a code. `docs/errors.md` is made from this list. */

/** Families share an exit code of `synapse-migrate`: see {@link exitCodes}. */
export type ErrorFamily =
    | "usage"
    | "check"
    | "verify"
    | "locked"
    | "state"
    | "identity"
    | "artefact"
    | "secret"
    | "service"
    | "resources"
    | "operator";

/** Exit codes of `synapse-migrate`. An exit code that is not listed here is a failure too. */
export const exitCodes: Readonly<Record<ErrorFamily, number>> = {
    usage: 2,
    check: 3,
    verify: 5,
    locked: 6,
    state: 7,
    identity: 8,
    artefact: 9,
    secret: 10,
    service: 11,
    resources: 12,
    operator: 14,
};

export interface CatalogueEntry {
    readonly family: ErrorFamily;
    /** One line, no final dot: what is the case. */
    readonly title: string;
    /** Why it matters to a homeserver. */
    readonly why: string;
    /** What to do; ends in a command or a question. */
    readonly fix: string;
}

const entry = (family: ErrorFamily, title: string, why: string, fix: string): CatalogueEntry => ({
    family,
    title,
    why,
    fix,
});

/** Keyed by code. Codes are never given a second meaning. */
export const errorCatalogue = {
    "SM-E0200": entry(
        "usage",
        "the specification of a step is not valid",
        "a step that guesses what it was asked for may act on the wrong server",
        "correct the named fields; is this step called by an older or newer version of the program?",
    ),
    "SM-E0201": entry(
        "usage",
        "a key of the configuration is not known",
        "a mistyped key is a setting that silently does not hold",
        "correct the key; Pulumi.yaml describes all of them",
    ),
    "SM-E0202": entry(
        "usage",
        "the server name is not valid",
        "user, room and event ids end in the server name; another spelling is another server",
        "correct the server name: what do your user ids end in?",
    ),
    "SM-E0203": entry(
        "usage",
        "a configuration file cannot be read as Synapse would",
        "a setting that is read differently here than by Synapse may move the wrong server",
        "correct the named line, then check it with `python -m synapse.config -c homeserver.yaml`",
    ),
    "SM-W0204": entry(
        "usage",
        "a later configuration file overrides a setting of an earlier one",
        "Synapse replaces a top-level section as a whole, also when only a part of it is written in the later file",
        "check that the setting in the later file is the one meant",
    ),
    "SM-E0205": entry(
        "usage",
        "a secret is given twice, inline and as a path",
        "only one of them is in use, and which one is a guess",
        "remove the one that is not in use from the configuration",
    ),
    "SM-E0206": entry(
        "usage",
        "a setting of homeserver.yaml has a value that Synapse cannot use",
        "Synapse stops or answers 500 with such a value, so this cannot be the configuration in use",
        "correct the named setting; does a text that looks like a number or a date need quotes?",
    ),
    "SM-W0207": entry(
        "usage",
        "homeserver.yaml has relative paths",
        "Synapse resolves them against the directory it was started in, which the configuration does not tell",
        "write absolute paths into homeserver.yaml",
    ),
    "SM-E0211": entry(
        "usage",
        "a value of the configuration is not valid",
        "a migration that guesses what was meant may act on the wrong server",
        "correct the value; Pulumi.yaml describes it",
    ),
    "SM-E0212": entry(
        "usage",
        "a value of the configuration is missing",
        "nothing is invented: a made-up key or path would make another server",
        "set it; was the stack's file written by `synapse-migrate init --from homeserver.yaml --stack NAME`?",
    ),
    "SM-E0213": entry(
        "state",
        "the result of a step cannot be read",
        "what follows builds on this result",
        "does the stack hold results of another version of the program? Start a new run (config `run`)",
    ),
    "SM-E0220": entry(
        "usage",
        "the configuration belongs to another stack",
        "two stacks that migrate the same homeserver would stop it under each other's hands",
        "select the stack that the file was written for: `pulumi stack select`; or correct the key `stack` of a file that was copied on purpose",
    ),
    "SM-E0222": entry(
        "secret",
        "a secret stands in the configuration in plain text",
        "whoever reads the file or its history can act as this homeserver",
        "set it again with `pulumi config set --secret`, and make a new one if the file has been shared",
    ),
    "SM-E0300": entry(
        "check",
        "the assessment found what blocks the migration",
        "everything after it would fail later, with the source stopped",
        "fix each finding as its line says, then run the same command again; `phase: assess` only looks",
    ),
    "SM-E0505": entry(
        "check",
        "the source's database is SQLite",
        "the copy of a homeserver's rows needs PostgreSQL on both sides",
        "move the source to PostgreSQL first: `synapse_port_db --sqlite-database homeserver.db --postgres-config homeserver.yaml`",
    ),
    "SM-E0701": entry(
        "operator",
        "the journal is damaged or belongs to another run",
        "without a journal that can be trusted nobody knows which steps have been done",
        "look at the named line; restore the run directory from where it was changed, or start a new run",
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
    "SM-E0801": entry(
        "identity",
        "the server name is not the source's",
        "users, rooms and events belong to one server name for ever",
        "set config `serverName` to the source's; is this the stack of another homeserver?",
    ),
    "SM-E0810": entry(
        "identity",
        "the signing key is empty",
        "Synapse would invent a new key, and other homeservers would reject what it signs",
        "give the content of the source's signing key file",
    ),
    "SM-E0811": entry(
        "identity",
        "a public key was given as signing key",
        "nothing can be signed with a public key",
        "give the content of the source's signing key file, a line `ed25519 <version> <43 characters>`",
    ),
    "SM-E0812": entry(
        "identity",
        "the signing key has the wrong length",
        "an ed25519 seed has exactly 32 bytes; this one was cut or added to",
        "copy the signing key file again, whole",
    ),
    "SM-E0813": entry(
        "identity",
        "the signing key is not base64",
        "a key that is decoded to other bytes signs as another server",
        "copy the signing key file again, byte by byte",
    ),
    "SM-E0814": entry(
        "identity",
        "the signing key file has another form than Synapse's",
        "Synapse would refuse to start with it",
        "give lines of three words: `ed25519 <version> <43 characters>`, each version once",
    ),
    "SM-E0815": entry(
        "identity",
        "the signing key has the old form without a version",
        "Synapse gives such a key a random key id at its next start, which other homeservers do not know",
        "write `ed25519 <version> <key>` with the version that `/_matrix/key/v2/server` of the source shows",
    ),
    "SM-E0816": entry(
        "identity",
        "the signing key is of another algorithm than ed25519",
        "Matrix has no other algorithm, and Synapse would refuse to start",
        "give the source's ed25519 key",
    ),
    "SM-E0817": entry(
        "identity",
        "the signing key is not the source's",
        "other homeservers would reject all that the target signs",
        "give the content of the source's signing key file; is this the stack of another homeserver?",
    ),
    "SM-W0818": entry(
        "identity",
        "the signing key is publicly known",
        "others can sign as this homeserver, and Synapse refuses what it signed (CVE-2026-24044)",
        "rotate the signing key as the advisory ELEMENTSEC-2025-1670 says, before or right after the migration",
    ),
    "SM-E0820": entry(
        "identity",
        "the pepper is not the source's",
        "with another pepper no user can log in with their password",
        "set it to password_config.pepper of the source: `pulumi config set --secret pepper`",
    ),
    "SM-W0821": entry(
        "identity",
        "the pepper begins or ends with white space",
        "it counts, and copying by hand loses it",
        "take it over with `synapse-migrate init`, never by hand",
    ),
    "SM-E0830": entry(
        "identity",
        "the macaroon secret is not the source's",
        "guests would be logged out and pending logins and unsubscribe links fail",
        "set it to what the source uses in effect: `pulumi config set --secret macaroonSecretKey`",
    ),
    "SM-E1003": entry(
        "secret",
        "a secret file is not safe or not usable",
        "Synapse makes a new secret in place of a missing one, and what others can read or replace is no secret",
        "correct the named file: a regular file of its owner, mode 0600",
    ),
    "SM-W1003": entry(
        "secret",
        "a secret file of the source can be read by others",
        "whoever can log in to the machine knows it",
        "`chmod 0640` the named file",
    ),
    "SM-E1101": entry(
        "service",
        "a program that a step needs failed",
        "a step never goes on after one of its programs failed, whatever it left behind",
        "read the program's last lines above; when its cause is gone, run the same command again: the step resumes",
    ),
    "SM-E1111": entry(
        "usage",
        "a program that is needed was not found",
        "the stack could not say what the target is run with",
        "`npm run toolchain` sets up what is missing",
    ),
    "SM-E1180": entry(
        "service",
        "something this project needs is missing and cannot be set up here",
        "nothing is started half equipped: a step that lacks its tool would stop in the middle of a migration",
        "install what is named, then run: npm run toolchain -- doctor",
    ),
    "SM-E1190": entry(
        "service",
        "the rehearsal could not make or keep its source homeserver",
        "a rehearsal moves a homeserver of its own, and proves nothing without one",
        "read the log that is named; does the same command work when the machine is less busy?",
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
    "SM-E1202": entry(
        "resources",
        "the work directory is not fit to keep a homeserver's dump and keys",
        "what lies there may vanish in the middle of a migration, or be read by others",
        "set config `workDirectory` to a directory of your own on a local disk, mode 0700",
    ),
    "SM-E1205": entry(
        "state",
        "something that this stack did not write is in the way",
        "it may be the configuration of another homeserver, which would be overwritten",
        "choose another target directory; is a homeserver already set up there?",
    ),
    "SM-E1206": entry(
        "resources",
        "the target's directory cannot be reached by the user Synapse runs as",
        "Synapse could not read its own configuration",
        "choose another target directory",
    ),
    "SM-E1501": entry(
        "operator",
        "an earlier phase is declared after the commit",
        "the target has served: going back to the source loses what was written since, and two servers sign for one name",
        "declare phase `cutover` or `finish`; is the target broken? Repair it in place, the source must not serve again",
    ),
    "SM-E0501": entry(
        "check",
        "the database is not UTF8 with collation C",
        "Synapse refuses to start on another encoding or collation, and indexes sorted by a locale break when the system's locale changes",
        "dump it, create a database with the command shown, restore into that one, and let Synapse use it",
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
    "SM-E0803": entry(
        "identity",
        "source and target are the same database",
        "restoring a database onto itself destroys it",
        "choose another name or another server for the target's database",
    ),
    "SM-E0804": entry(
        "identity",
        "the target's database is not empty",
        "restoring into existing tables corrupts a homeserver",
        "choose a name that no database has yet, or rename the existing database after making sure that nobody needs it",
    ),
    "SM-E0805": entry(
        "identity",
        "the target's database name is not usable",
        "the databases that PostgreSQL keeps for itself must not hold a homeserver",
        "choose another name, for example `synapse`",
    ),
    "SM-E0806": entry(
        "identity",
        "the target's PostgreSQL server is a standby",
        "a standby cannot be written to",
        "give the address of the primary server",
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
    "SM-E0909": entry(
        "artefact",
        "the dump is of another homeserver",
        "a database restored under another server name is of no use to anyone",
        "is the run directory the right one? Compare its manifest with the stack's `serverName`",
    ),
    "SM-E0911": entry(
        "artefact",
        "the manifest of the dump is damaged or is not the one the dump step made",
        "without its manifest nothing proves that the restored data is all of it",
        "make the dump again",
    ),
    "SM-E0912": entry(
        "verify",
        "the dump and the database disagree",
        "the source was written to while it was dumped, or the dump is not complete",
        "is a process of the source still running? Fence it, then make the dump again",
    ),
    "SM-E1004": entry(
        "secret",
        "the PostgreSQL server refuses the login",
        "without a login nothing can be read or written",
        "check role and password; does pg_hba.conf allow this role from here?",
    ),
    "SM-E1102": entry(
        "service",
        "the PostgreSQL server does not answer",
        "a step cannot go on without its database",
        "is the server running, and are host and port right? Then run the same command again: the step resumes",
    ),
    "SM-E1103": entry(
        "service",
        "a statement took too long and was cancelled",
        "a step never waits without end",
        "is the server overloaded or a table locked? Then run the same command again: the step resumes",
    ),
    "SM-E1104": entry(
        "service",
        "the PostgreSQL server refused a statement",
        "a step never goes on after a failed statement",
        "read the server's message; when its cause is gone, run the same command again: the step resumes",
    ),
    "SM-E1105": entry(
        "service",
        "the directory for a database server of ours cannot be used",
        "a server whose files are in the way of others, or cannot be reached by its user, does not start",
        "choose an empty directory on a local file system whose parents everyone may enter (mode 0711 or 0755)",
    ),
    "SM-E0702": entry(
        "state",
        "the source still runs, or was started again",
        "two servers with one name and one signing key split every room they are in",
        "stop what is named, and whatever restarts it (cron, a watchdog, an HA manager); then run the same command again",
    ),
    "SM-E0710": entry(
        "state",
        "the service's process cannot be identified",
        "a process number is given away again: a signal to it may end something else",
        "is `service.pidFile` the `pid_file` of the homeserver's configuration, and is it up to date?",
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
    "SM-E0714": entry(
        "state",
        "the gateway is open for another run",
        "behind an open gateway is a server that people use; closing it would cut them off",
        "was that migration committed? Then there is nothing left to migrate; else take it back with `pulumi destroy` of its stack",
    ),
    "SM-E0962": entry(
        "artefact",
        "media that the database promises is missing or altered",
        "people would see broken pictures and files for good: nobody else has a copy of a homeserver's own media",
        "restore the named files from a backup, or delete the media through the admin API; is a media storage provider in use?",
    ),
    "SM-E0963": entry(
        "artefact",
        "a media store is not fit to be copied",
        "a copy of a store that is not what it seems is incomplete without anybody noticing",
        "correct what is named; is `media_store_path` (or `source.mediaStore`) the right directory?",
    ),
    "SM-E1110": entry(
        "identity",
        "the gateway does not reach the homeserver that was proven",
        "other servers reject what is signed with a key they do not know",
        "what answers behind the gateway? Look at its upstream, and at what else listens on that port",
    ),
    "SM-E0506": entry(
        "check",
        "the database is too new for the target's Synapse, or half upgraded",
        "Synapse refuses to start on a database that is newer than it understands",
        "install the named or a newer Synapse for the target, or let the source finish its upgrade; which version does the source run?",
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
    "SM-E0604": entry(
        "check",
        "the test account cannot be used on the source",
        "without its traces nobody can prove that passwords and tokens still work",
        "correct config `canary`; can the account log in with its password, and is the source running?",
    ),
    "SM-E0703": entry(
        "state",
        "the fence token is missing or not the one that belongs here",
        "a target must not be started for a source that somebody else fenced, or that runs again",
        "declare phase `stage`, then `migrate` again: the source is fenced anew",
    ),
    "SM-E0802": entry(
        "identity",
        "the database has users of another server",
        "Synapse checks one user only and would start; a server name can never be changed",
        "is this the right database? Users of another server in it must be removed by hand, knowing why they are there",
    ),
    "SM-E0818": entry(
        "identity",
        "the signing key is not the source's",
        "every other homeserver would reject what the target signs",
        "set config `signingKey` to the content of the source's signing key file, byte for byte",
    ),
    "SM-E1107": entry(
        "service",
        "the target homeserver did not come up",
        "nobody can use it like this; the gateway stays closed",
        "read the named log file; then run `pulumi up` again, or declare phase `stage` to go back to the source",
    ),
    "SM-E1201": entry(
        "resources",
        "there is not enough free disk space",
        "a file system that fills up in the middle stops every service on it",
        "free space or set config `workDirectory` or `target.directory` to a larger file system",
    ),
    "SM-W0501": entry(
        "check",
        "the source's database does not have encoding UTF8 with collation and character type C",
        "its indexes may hide duplicate rows; the target gets UTF8 and C",
        "let the thorough assessment look for duplicates (phase `assess`), and rehearse first",
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
    "SM-W0710": entry(
        "state",
        "the source's service is not running",
        "a source that is down before the fence may have been stopped for a reason, and may be started again by what watches it",
        "is this the right pid file? Who stopped it, and what could start it again?",
    ),
    "SM-W0817": entry(
        "identity",
        "it cannot be proven that the signing key signed this database's events",
        "a key that merely looks right would cut the server off",
        "compare the key id with what other servers have: https://<another server>/_matrix/key/v2/query/<this server>",
    ),
    "SM-W0512": entry(
        "check",
        "a sequence is not where it should be, and no homeserver fails on it",
        "Synapse may hand out a number that it takes for seen",
        "set the sequence with the statement shown, while Synapse is stopped",
    ),
    "SM-W0518": entry(
        "check",
        "nothing is known of what a sequence numbers",
        "it is carried with its value, but nobody can say whether that value is right",
        "is it another program's? Then nothing is to be done",
    ),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;
