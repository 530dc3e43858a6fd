/** SM-E147 and SM-E148: homeservers in containers. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e147Containers = {
    "SM-E1470": entry(
        "usage",
        "there is no container of the homeserver's name",
        "what is not found cannot be stopped for good, and its mounts say where its configuration is",
        "does `docker ps --all` show it? Set `source.service.name` to its name, or `project` and `services` to its labels `com.docker.compose.project` and `com.docker.compose.service`; one that was removed (`docker compose down`) is made again by `docker compose up --no-start`",
    ),
    "SM-E1471": entry(
        "service",
        "the container engine cannot be asked",
        "it knows where the homeserver's files are, and it alone can stop its containers for good",
        "does `docker ps` work there as the user who is logged in? Set `machine.become` to `sudo`, log in as root, or set `source.service.engine` to the program that is there",
    ),
    "SM-E1472": entry(
        "usage",
        "the named container runs something else than Synapse",
        "stopping it would stop a service that is not moved",
        "set `source.service.name`, or the first of `source.service.services`, to the container of Synapse's main process",
    ),
    "SM-E1473": entry(
        "usage",
        "the configuration names files that lie inside the container, in none of its mounts",
        "they belong to the image or to this one container: no other server has them, and they are gone with it",
        'copy them out (`docker cp <container>:<path> <directory>`), keep them in a directory that is mounted, and name that in homeserver.yaml; or say in `source.paths` where this machine has them: {"/path/in/the/container": "/path/here"}',
    ),
    "SM-E1474": entry(
        "service",
        "a container cannot be kept from serving again",
        "a habit such as `docker compose up -d` would start a second homeserver that signs as the first",
        "does `docker update --pids-limit` work there, and does the machine have the control group `pids`?",
    ),
    "SM-E1475": entry(
        "usage",
        "what the homeserver calls its server by is no container that can be reached",
        "the database is asked from outside of the homeserver's container, where its names mean nothing",
        "does the database's container run, on a network that the homeserver is on, too? Else set `source.database.host` and `port` to where the machine reaches it",
    ),
    "SM-E1476": entry(
        "usage",
        "a unit of systemd runs the homeserver's container",
        "it would start the container again as soon as it is stopped, and at the next boot",
        "set `source.service` to `{kind: systemd, units: […]}` with that unit: it is stopped and held, and the container's paths are found",
    ),
    "SM-E1477": entry(
        "usage",
        "the service of the homeserver's main process has several containers",
        "two main processes on one database damage it, and which of them is meant nobody can tell",
        "which one is it? Remove the others (`docker compose up -d --scale <service>=1`), and name workers' services after the main process's",
    ),
    "SM-E1478": entry(
        "secret",
        "only root may stop a homeserver's containers and read what is mounted in them",
        "its files belong to the container's own user (991 for Synapse's image), and membership in the group `docker` does not open them",
        "run this as root; for another machine set `machine.become` to `sudo`, or log in as root",
    ),
    "SM-E1479": entry(
        "service",
        "a container could not be started again as it runs",
        "a source that cannot be given back must not be stopped",
        "is it kept by a swarm or a cluster? Scale it to nothing there by hand, and move its backup (docs/backup.md). Was it made with `--rm`? Have Compose or a unit of systemd run it",
    ),
    "SM-E1480": entry(
        "service",
        "Podman has nothing that keeps this container from being started again",
        "`podman start`, typed by habit, or `podman-restart.service` at the next boot would start a second homeserver that signs as the first",
        "have a unit make it anew at each start: `podman generate systemd --new --name <container>` prints one. Remove the container, start and enable the unit, and set `source.service` to `{kind: systemd, units: […]}` with it",
    ),
} as const satisfies Record<string, CatalogueEntry>;
