/** SM-E145: looking for homeservers on a machine, and describing one of them as a stack. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e145Discovery = {
    "SM-E1450": entry(
        "identity",
        "nobody has said yet which host key the machine has",
        "whoever answers in its place would be given the homeserver's secrets",
        "does the machine's own console show the same fingerprint, with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`? Then give the key with --host-key",
    ),
    "SM-E1451": entry(
        "usage",
        "the machine cannot be reached as it is given",
        "only a machine that can be reached again, by the same address and key, can be written into a stack",
        "give user@host or user@host:port, an absolute path with --identity, and the key with --host-key as `ssh-keyscan` prints it, without the host",
    ),
    "SM-E1452": entry(
        "usage",
        "no homeserver was found on the machine",
        "a stack is about one homeserver",
        "does `synapse-migrate discover` with the same address list it? A homeserver that comes as files has its configuration given with --from",
    ),
    "SM-E1453": entry(
        "usage",
        "which of the machine's homeservers is meant is not said",
        "a stack is about one homeserver",
        "choose one with --server-name",
    ),
    "SM-E1454": entry(
        "check",
        "the homeserver is run in a way that this program cannot stop for good",
        "a homeserver that starts again while its copy serves loses what either of the two writes",
        "move its backup: docs/backup.md; or run it as a systemd unit first",
    ),
    "SM-E1455": entry(
        "usage",
        "the homeserver's configuration could not be read on the machine",
        "the stack's secrets come from it",
        "is it readable for the user that logs in? Give --sudo, or log in as root",
    ),
    "SM-E1456": entry(
        "usage",
        "options of init contradict each other",
        "a stack that is half about one homeserver and half about another moves neither",
        "give either --from user@host, or --from with files of this machine",
    ),
    "SM-E1457": entry(
        "usage",
        "init writes no stack with such a target",
        "what a target is made of differs from one kind to the next",
        "give --to local, or --to user@host for a homeserver that is installed there; for a target of another kind begin with one of the examples in stacks/",
    ),
} as const satisfies Record<string, CatalogueEntry>;
