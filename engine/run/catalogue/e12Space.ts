/** SM-E12: disks, directories and clocks. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e12Space = {
    "SM-E1201": entry(
        "resources",
        "there is not enough free disk space",
        "a file system that fills up in the middle stops every service on it",
        "free space or set config `workDirectory` or `target.directory` to a larger file system",
    ),
    "SM-E1202": entry(
        "resources",
        "the work directory is not fit to keep a homeserver's dump and keys",
        "what lies there may vanish in the middle of a migration, or be read by others",
        "set config `workDirectory` to a directory of your own on a local disk, mode 0700",
    ),
    "SM-E1204": entry(
        "check",
        "the clocks of two machines are more than a minute apart",
        "tokens and signatures are taken for expired or for not yet valid, new messages are dated before old ones, and nobody can say when the downtime was",
        "have both machines keep the time: does `timedatectl` say that the clock is synchronized? `timedatectl set-ntp true`",
    ),
    "SM-W1204": entry(
        "check",
        "the clocks of two machines are apart",
        "after the move the homeserver dates messages and ends tokens by another clock than before",
        "have both machines keep the time: does `timedatectl` say that the clock is synchronized? `timedatectl set-ntp true`",
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
    "SM-E1207": entry(
        "resources",
        "a file or directory could be somebody else's doing",
        "root would write, remove or signal whatever another user has put in its place",
        "who put it there? If you did, `chown -h root: <path>`, `chmod go-w <path>`; else look what else that user changed, or choose another target directory",
    ),
    "SM-E1208": entry(
        "usage",
        "the user that the target's servers are to run as is not fit",
        "whoever breaks into the homeserver has all that its user has: for root everything, for postgres all databases",
        "`useradd --system --no-create-home --shell /usr/sbin/nologin matrix-synapse`, then set `target.user: matrix-synapse`",
    ),
    "SM-W1209": entry(
        "resources",
        "the target's servers run as a user that others use, too",
        "other programs of the same user can read the signing key, and the homeserver can read what is theirs",
        "before the target is made: `useradd --system --no-create-home --shell /usr/sbin/nologin matrix-synapse`",
    ),
    "SM-E1210": entry(
        "resources",
        "the system refuses what has to be done with a file",
        "what cannot be written can neither be resumed nor proven",
        "as its message says: a file system that is mounted read-only, a disk that fails (`dmesg`), the limit of open files (`ulimit -n`), rights. Then run the same command again",
    ),
} as const satisfies Record<string, CatalogueEntry>;
