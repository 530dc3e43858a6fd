/** SM-E11: programs, servers and networks. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e11Programs = {
    "SM-E1101": entry(
        "service",
        "a program that a step needs failed",
        "a step never goes on after one of its programs failed, whatever it left behind",
        "read the program's last lines above; when its cause is gone, run the same command again: the step resumes",
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
    "SM-E1106": entry(
        "service",
        "a homeserver does not answer",
        "what a homeserver does not say cannot be compared",
        "is it running, and does it listen on the named address? Read its log; then run the same command again",
    ),
    "SM-E1110": entry(
        "identity",
        "the gateway does not reach the homeserver that was proven",
        "other servers reject what is signed with a key they do not know",
        "what answers behind the gateway? Look at its upstream, and at what else listens on that port",
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
} as const satisfies Record<string, CatalogueEntry>;
