/** SM-E072: what would keep a source from being fenced, looked for while it still serves. */
import { entry, type CatalogueEntry } from "./entry.ts";

const stopsForNothing = "the fence would stop the source, then find this, and start it again: a downtime for nothing";

export const e072Fence = {
    "SM-E0558": entry(
        "state",
        "the source runs, and its pid file does not say so",
        "Synapse writes its pid file only when it makes itself a daemon: as systemd and containers run it, nothing tells which process is to be stopped, and whatever keeps it would start it again",
        "set `source.service` to what runs it (`{kind: systemd, units: […]}`, `{kind: container, name: …}`, `{kind: compose, …}`); or stop it yourself for the move, with what runs it, so that it stays down (`systemctl disable --now <unit>`; `docker update --restart=no <container>` and `docker stop <container>`), right before phase `migrate`; or run it as a daemon (`--daemonize`) with `pid_file`",
    ),
    "SM-E0720": entry(
        "state",
        "somebody else is connected to the source's database",
        "the fence proves that nobody is left who could write; a session that stays keeps it from that, and the source would have been stopped for nothing",
        "end what is named (exporter, dashboard, psql, another program) and keep it away until the move is over; who starts it again? Then run the same command again",
    ),
    "SM-W0720": entry(
        "check",
        "somebody else is connected to the source's database",
        "the fence refuses while such a session is there: it could write after the copy",
        "see to it that it is gone when phase `migrate` is declared: what is it (exporter, dashboard, psql), and who starts it again?",
    ),
    "SM-E0721": entry(
        "state",
        "prepared transactions wait in the source's database",
        "whoever commits one later changes the source after it was copied",
        "commit or roll back what is named (`COMMIT PREPARED`, `ROLLBACK PREPARED`); who prepared it?",
    ),
    "SM-W0721": entry(
        "check",
        "prepared transactions wait in the source's database",
        "whoever commits one later changes the source after it was copied, so the fence refuses while there is one",
        "commit or roll back what is named (`COMMIT PREPARED`, `ROLLBACK PREPARED`) before phase `migrate`; who prepared it?",
    ),
    "SM-E0722": entry(
        "check",
        "the source's database is a standby",
        "what follows another server cannot be made read-only by us, and goes on changing as long as that one does",
        "name the primary in `source.database`; which server does the homeserver itself write to?",
    ),
    "SM-E0723": entry(
        "check",
        "the role may not do what the fence does in the source's database",
        stopsForNothing,
        "let `source.database.user` be the owner of the database and of all its tables, or a superuser; is what belongs to somebody else still needed?",
    ),
    "SM-E0724": entry(
        "check",
        "a role is exempt from the setting that makes the source read-only",
        "a role's own setting wins over the database's (PostgreSQL manual 20.1.3): what connects as this role could write to the fenced source",
        "take the named setting back with the named statement; who needs it, and for what?",
    ),
    "SM-W0725": entry(
        "check",
        "it cannot be told whose sessions on the source's database these are",
        "sessions that do not end with the homeserver keep the fence from being proven; then the source is started again, after a downtime for nothing",
        "a pooler in between? Have it close what is idle within seconds (pgbouncer: `server_idle_timeout = 5`). Does the homeserver run as another user, or behind address translation? Run this as root on its machine, or look yourself at whose they are",
    ),
    "SM-E0726": entry(
        "service",
        "the source's listening sockets are held by another process, too",
        "the port stays open when the homeserver ends, and whoever holds it may start it again at the next request: systemd with a socket unit does",
        "stop and disable what holds the socket (`systemctl disable --now <name>.socket`), and let the homeserver open its port itself; what else is behind it?",
    ),
} as const satisfies Record<string, CatalogueEntry>;
