/** SM-E14: machines that are reached over ssh, and services that systemd runs on whatever machine. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e14Machines = {
    "SM-E1401": entry(
        "service",
        "the machine is not reached",
        "a step cannot go on without the machine that its homeserver is on, and never waits for it without end",
        "is the machine up, and does `ssh` reach it from here? Then run the same command again: the step resumes",
    ),
    "SM-E1402": entry(
        "identity",
        "the machine shows another host key than the one that was pinned",
        "whoever answers in its place would be given the homeserver's secrets",
        "was the machine installed anew? Compare `ssh-keyscan` with the key on its console, then set `machine.hostKey` to it",
    ),
    "SM-E1403": entry(
        "secret",
        "the machine refuses the login",
        "nothing is known of a machine that lets nobody in",
        "does `ssh -o BatchMode=yes` with the same address work? Add the key to the agent, or set `machine.identityFile`",
    ),
    "SM-E1404": entry(
        "secret",
        "sudo asks for a password on the machine, or does not let the user",
        "a step runs unattended, and has nobody to ask",
        "let the user run sudo without a password there (`<user> ALL=(ALL) NOPASSWD: ALL` by visudo) for the time of the move, or log in as root",
    ),
    "SM-E1405": entry(
        "usage",
        "the machine has no Python 3",
        "files and processes there are read by a program in Python that leaves nothing behind",
        "install Python 3.6 or newer there, for example `apt-get install python3-minimal`; with no `python3`, that of a Synapse there is used, if only root and who logs in may write it",
    ),
    "SM-E1420": entry(
        "usage",
        "a unit of systemd that the configuration names is not there",
        "the homeserver that is left would go on running, under another name",
        "does `systemctl list-units '*synapse*'` on the machine show it? Set `source.service.units` to that",
    ),
    "SM-E1421": entry(
        "usage",
        "systemd does not answer on the machine",
        "it is asked for the homeserver's units, and told to stop them",
        "does `systemctl status` work there? A homeserver that something else runs has `service: {kind: process}`",
    ),
    "SM-E1422": entry(
        "secret",
        "only root may stop the homeserver's units",
        "a unit that is not stopped for good comes back at the next boot",
        "run this as root; for another machine set `machine.become` to `sudo`, or log in as root",
    ),
    "SM-E1423": entry(
        "service",
        "a unit cannot be kept from starting",
        "whoever restarts the machine would have two homeservers that sign as one",
        "can files be written below /etc/systemd/system there, and does `systemctl daemon-reload` work? Where that directory is made by a tool (NixOS), disable the homeserver in that tool, and say `service: {kind: process}`",
    ),
    "SM-E1424": entry(
        "state",
        "a unit is held for another homeserver",
        "who holds it counts on it to stay stopped",
        "is `source.service.units` the same, in the same order, as when the homeserver was fenced? Else roll back that other move first",
    ),
    "SM-E1425": entry(
        "usage",
        "a unit that the configuration names runs something else than Synapse",
        "stopping it would stop a service that is not moved",
        "set `source.service.units` to the homeserver's own unit, and to its workers' if you like",
    ),
    "SM-E1440": entry(
        "service",
        "something else answers on the connection to the machine than this program there",
        "what cannot be told from an answer is not taken for one",
        "does `ssh` to it with a command, `ssh <address> true`, print anything? Remove that from the files that its shell reads there, such as ~/.bashrc",
    ),
    "SM-E1441": entry(
        "service",
        "this program cannot do on the machine what it should",
        "nothing was read or written there by this request",
        "is its Python of a version from 3.6 on, and sound? Otherwise report it: the message is one of this program",
    ),
    "SM-E1442": entry(
        "secret",
        "the database's server lets in users of its machine alone, and nobody is found there as whom it lets the role in",
        "with peer authentication the system vouches for who connects, so this program has to connect as the user that Synapse runs as",
        "does Synapse itself reach its database now? As its user has to be taken, this program must be root there: run it as root; for another machine set `machine.become` to `sudo`, or log in as root. Or else give the role a password (`\\password` of psql, a line of pg_hba.conf for it), write it into a file of mode 0600, and set source.database {host: 127.0.0.1, passwordFile: FILE}",
    ),
} as const satisfies Record<string, CatalogueEntry>;
