/** SM-E14: machines that are reached over ssh. */
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
        "install Python 3.6 or newer there, for example `apt-get install python3-minimal`",
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
} as const satisfies Record<string, CatalogueEntry>;
