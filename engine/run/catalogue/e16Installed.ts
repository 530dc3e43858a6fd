/** SM-E16: a homeserver that an installer has made, into which another one is moved. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e16Installed = {
    "SM-E1601": entry(
        "check",
        "the installed homeserver cannot be moved into",
        "it would be met only once both homeservers are stopped",
        "mend what is named there; then run the same command again",
    ),
    "SM-E1602": entry(
        "state",
        "a file of the installed homeserver is not as this program has left it",
        "whoever has written it (its installer, a configuration tool) may have put another signing key or another pepper there, and writing over it would lose what they meant",
        "was the installer run in between? Put the file back as it was, or declare phase `stage`, which leaves that file alone, and run the installer to its end before `migrate`",
    ),
    "SM-E1603": entry(
        "verify",
        "the installed homeserver's configuration does not say what was written into it",
        "with another pepper nobody can log in, and with another signing key every other homeserver rejects what it sends",
        "which file is read after the one that was written? Take the setting out of it, or name it last in `target.homeserverConfig`",
    ),
    "SM-E1604": entry(
        "state",
        "the installed homeserver's media store has another file under the name of one that is to be placed",
        "of two media with one id, one would be lost",
        "whose store is it? Is it that of another homeserver, choose another one; else move the named files away",
    ),
    "SM-E1605": entry(
        "service",
        "the installed homeserver was started and does not show who it is",
        "clients and other homeservers would meet one that was not proven",
        "what do the last lines of its log say? Mend that, then run the same command again; or declare phase `stage`, which starts the source again",
    ),
    "SM-E1606": entry(
        "check",
        "people use the installed homeserver",
        "it is stopped, and what they have written is put aside: whoever wrote it would find it gone",
        "is it the homeserver that you mean? One that serves is a source; a target is one that nobody has used for an hour",
    ),
    "SM-E1608": entry(
        "check",
        "nobody is known who may create databases on the installed homeserver's server",
        "the moved database is made beside the one in use, and the two change names",
        "name a role that may in `target.database.admin`: `kind: peer` with `container` or `socketDirectory`, or `kind: password`",
    ),
    "SM-W1607": entry(
        "check",
        "the installed homeserver lacks settings of the source",
        "bridges, logins by other services, limits and modules are gone for its users, as only its identity is written there",
        "add them to its configuration where they are to stay, then acknowledge the warning",
    ),
} as const satisfies Record<string, CatalogueEntry>;
