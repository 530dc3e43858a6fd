/** The homeserver that is left, as the steps are told about it: a running one, or files that carry one. */
import { z } from "zod";
import { machine } from "./machine.ts";
import { absolutePath, port } from "./shared.ts";

/** A homeserver that is a process with a pid file, started by hand or by an init script. */
const processService = z.strictObject({
    kind: z.literal("process"),
    /** Synapse's `pid_file`. */
    pidFile: absolutePath,
    /**
     * Starts the server so that it outlives its caller, an argument a word. When absent, the command line, directory and user that the
     * running process had when it was fenced are used.
     */
    command: z.array(z.string()).min(1).optional(),
});
export type ProcessService = z.infer<typeof processService>;

/** As systemd.unit(5) has it, without the templates that no process runs as: `matrix-synapse`, `matrix-synapse-worker@one.service`. */
const serviceUnit = z
    .string()
    .max(247)
    .regex(
        /^[A-Za-z0-9:_.\\][A-Za-z0-9:_.\\-]*(@[A-Za-z0-9:_.\\@-]+)?$/,
        "must be the name of a service, for example matrix-synapse, and no path",
    )
    .transform((name) => (name.endsWith(".service") ? name : `${name}.service`))
    .refine((name) => !/@\.service$/.test(name), "is a template: name what runs, for example worker@one.service")
    .refine(
        (name) => !/\.(target|socket|timer|path|slice|scope|mount|device|swap|automount)\.service$/.test(name),
        "must be a service: targets, sockets and timers of it are found",
    );

/** A homeserver that systemd runs. */
const systemdService = z.strictObject({
    kind: z.literal("systemd"),
    /** Its own unit first; workers' units are found by their configuration, and may be named as well. */
    units: z.array(serviceUnit).min(1),
});
export type SystemdService = z.infer<typeof systemdService>;

/** A program that is called as `docker` is; `docker` when absent. Podman can hold no container: units that make theirs with `--rm` are. */
const containerEngine = z.enum(["docker", "podman"]).optional();

/** As Docker has names of containers, and Compose those of projects and services. */
const containerName = z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]*$/, "must be a name as `docker ps` shows it, for example synapse");

/** A homeserver that runs in a container, its workers in others, which are found by their configuration. */
const containerService = z.strictObject({
    kind: z.literal("container"),
    /** Of the main process's container. */
    name: containerName,
    engine: containerEngine,
});

/** Services of a project of Compose: found by the labels of their containers, so that neither its file nor Compose itself is needed. */
const composeService = z.strictObject({
    kind: z.literal("compose"),
    /** `com.docker.compose.project`. */
    project: containerName,
    /** `com.docker.compose.service`: that of the main process first; workers' are found by their configuration, and may be named as well. */
    services: z.array(containerName).min(1),
    engine: containerEngine,
});
export type ContainedService = z.infer<typeof containerService> | z.infer<typeof composeService>;

/** How the homeserver's processes are controlled. */
const service = z.discriminatedUnion("kind", [processService, systemdService, containerService, composeService]);
export type Service = z.infer<typeof service>;

/** How a connection to PostgreSQL is protected (PostgreSQL manual 32.19). */
export const sslModes = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"] as const;
export type SslMode = (typeof sslModes)[number];

/** Replaces single fields of the `database:` section of homeserver.yaml: how this program connects, not how Synapse does. */
const databaseOverrides = z.strictObject({
    host: z.string().optional(),
    port: port.optional(),
    name: z.string().optional(),
    user: z.string().optional(),
    sslmode: z.enum(sslModes).optional(),
    sslrootcert: absolutePath.optional(),
    sslcert: absolutePath.optional(),
    sslkey: absolutePath.optional(),
});
export type DatabaseOverrides = z.infer<typeof databaseOverrides>;

/**
 * Where directories that the configuration names are on its machine: `{"/data": "/srv/matrix/data"}` for one that a container is given
 * under another name. The longest that fits counts.
 */
const paths = z.record(absolutePath, absolutePath);

/** A homeserver that can be asked, stopped, and started again. */
export const selfHostedSource = z.strictObject({
    kind: z.literal("selfHosted"),
    serverName: z.string(),
    /**
     * Files or directories as given to Synapse's `--config-path`, in order; later ones override earlier ones. Of a homeserver in a container, as
     * the container has them: `/data/homeserver.yaml`.
     */
    homeserverConfig: z.array(absolutePath).min(1),
    /** Of a container, what its mounts do not tell. */
    paths: paths.optional(),
    /** All other paths are of this machine, but that of `passwordFile`, which is the operator's. */
    machine,
    service,
    /** The password stays in the configuration or in `passwordFile`. */
    database: databaseOverrides.extend({ passwordFile: absolutePath.optional() }).optional(),
    /** Overrides `media_store_path`. */
    mediaStore: absolutePath.optional(),
});
export type SelfHostedSource = z.infer<typeof selfHostedSource>;

/** A homeserver in files. It cannot be stopped from here: somebody has to say that it is. */
export const bundleSource = z.strictObject({
    /**
     * `emsExport`: what a hosting provider hands over. `backup`: what one's own backup wrote. `sqlite`: Synapse's own file, of a homeserver
     * that is stopped. They differ in what is said about them; what the files are, their content says.
     */
    kind: z.enum(["emsExport", "backup", "sqlite"]),
    serverName: z.string(),
    /** `homeserver.db`, or a dump: one file, its parts, a directory in the format of `pg_dump -Fd`, or an archive of one. What it is, its content says. */
    database: z.array(absolutePath).min(1),
    /** Of a dump of a whole server (pg_dumpall) that holds several homeservers, the database that is meant. */
    databaseName: z.string().min(1).optional(),
    /** Archives of a media store or of a matrix-media-repo export, encrypted or not, or the directory of either. */
    media: z.array(absolutePath).min(1).optional(),
    /** What the target's configuration is made from. Without it the target has Synapse's defaults. */
    homeserverConfig: z.array(absolutePath).min(1).optional(),
    paths: paths.optional(),
    /** Public halves of keys that the server has signed with and signs with no more: `old_signing_keys`. */
    oldSigningKeys: z
        .record(z.string(), z.strictObject({ key: z.string(), expired_ts: z.number().int().min(0) }))
        .optional(),
    /** The homeserver was stopped before the export and has not run since. One-time keys are only kept then. */
    stoppedBeforeExport: z.boolean().optional(),
});
export type BundleSource = z.infer<typeof bundleSource>;

export const source = z.discriminatedUnion("kind", [selfHostedSource, bundleSource]);
export type Source = z.infer<typeof source>;
