/** What a look at a machine has found: the shape of `synapse-migrate discover --json`. Nothing in it is secret. */
import { z } from "zod";

/** Raised when a field changes its meaning or goes; new ones may come at any time. */
export const discoveryVersion = 1;

const bytes = z.number().int().min(0);
/** A place in a file, and the line itself, cut at its length. */
const mention = z.object({ file: z.string(), line: z.number().int(), text: z.string() });

const container = z.object({
    /** 64 hexadecimal digits; for a system in a container of LXC's or systemd's, its name. */
    id: z.string(),
    /** Absent where no engine has told of it. */
    name: z.string().optional(),
    image: z.string().optional(),
    /** The program that told of it. */
    engine: z.enum(["docker", "podman"]).optional(),
    running: z.boolean(),
    /** `no`, `always`, `unless-stopped`, `on-failure`. */
    restartPolicy: z.string().optional(),
    compose: z
        .object({
            project: z.string(),
            service: z.string(),
            workingDirectory: z.string().optional(),
            configFiles: z.array(z.string()),
        })
        .optional(),
    /** The unit of systemd that runs the engine's client for it, as matrix-docker-ansible-deploy does. */
    unit: z.string().optional(),
});

const service = z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("systemd"), units: z.array(z.string()) }),
    /** Of a user's own systemd. */
    z.object({ kind: z.literal("systemdUser"), units: z.array(z.string()) }),
    z.object({ kind: z.literal("container"), container }),
    z.object({
        kind: z.literal("process"),
        pid: z.number().int().optional(),
        /** As the configuration names it, where there is such a file. */
        pidFile: z.string().optional(),
    }),
    /** Only workers of it were seen. */
    z.object({ kind: z.literal("unknown") }),
]);

const database = z.discriminatedUnion("kind", [
    z.object({
        kind: z.literal("postgres"),
        /** As the configuration has them; the directory of a socket for `host`. */
        host: z.string(),
        port: z.number().int(),
        name: z.string().optional(),
        user: z.string().optional(),
        /** For example `15.8 (Debian 15.8-0+deb12u1)`. */
        serverVersion: z.string().optional(),
        sizeBytes: bytes.optional(),
        /** Where the connection was made to, if not to the address of the configuration. */
        via: z.string().optional(),
        /** Why version and size are not known. */
        notSeen: z.string().optional(),
    }),
    z.object({
        kind: z.literal("sqlite"),
        path: z.string(),
        sizeBytes: bytes.optional(),
        notSeen: z.string().optional(),
    }),
    z.object({ kind: z.literal("several"), names: z.array(z.string()), notSeen: z.string().optional() }),
]);

const media = z.object({
    path: z.string(),
    sizeBytes: bytes,
    files: z.number().int(),
    /** Of other servers' media among them. */
    remoteBytes: bytes,
    /** False where the time was over before all was counted: the numbers are what was counted till then. */
    complete: z.boolean(),
    notSeen: z.string().optional(),
    /** `media_storage_providers`: buckets of the S3 module, and the names of other modules. */
    buckets: z.array(z.object({ bucket: z.string(), prefix: z.string(), endpoint: z.string().optional() })),
    otherProviders: z.array(z.string()),
});

const worker = z.object({
    name: z.string().optional(),
    /** `generic_worker`. */
    app: z.string().optional(),
    running: z.boolean(),
    pid: z.number().int().optional(),
    unit: z.string().optional(),
    container: z.string().optional(),
});

const homeserver = z.object({
    /** Absent where the configuration could not be read. */
    serverName: z.string().optional(),
    running: z.boolean(),
    /** `running` is what the server says itself, `installed` what is beside its code: another one after an upgrade without a restart. */
    version: z.object({ running: z.string().optional(), installed: z.string().optional() }),
    service,
    /** Whom its main process runs as. */
    user: z.object({ uid: z.number().int(), name: z.string().optional() }).optional(),
    workingDirectory: z.string().optional(),
    /** Python, or the script, that runs it. */
    program: z.string().optional(),
    /** Of the main process's command line, in its order, as the process sees them. */
    configFiles: z.array(z.string()),
    /** Directories as a container's processes see them, and where they are on the machine. */
    paths: z.record(z.string(), z.string()),
    publicBaseUrl: z.string().optional(),
    /** `127.0.0.1:8008 client, federation`. */
    listeners: z.array(z.string()),
    database: database.optional(),
    media: media.optional(),
    workers: z.array(worker),
    applicationServices: z.array(z.object({ file: z.string(), id: z.string().optional(), url: z.string().optional() })),
    /** Who keeps accounts in the homeserver's place. */
    authenticationService: z.object({ setting: z.string(), endpoint: z.string().optional() }).optional(),
    notUnderstood: z.array(z.string()),
});
export type Homeserver = z.infer<typeof homeserver>;

/** A process of another program that has to do with a homeserver. */
const neighbour = z.object({
    program: z.string(),
    pid: z.number().int(),
    unit: z.string().optional(),
    container: z.string().optional(),
});

export const discovery = z.object({
    version: z.literal(discoveryVersion),
    /** `this machine`, `root@old.example.org`. */
    machine: z.string(),
    /** Whether it was looked at as root. */
    asRoot: z.boolean(),
    seconds: z.number(),
    homeservers: z.array(homeserver),
    reverseProxies: z.array(
        neighbour.extend({
            /** Those of 80, 443 and 8448 that it listens on. */
            ports: z.array(z.number().int()),
            /** Lines of its configuration that name a homeserver, one of its ports, or a path of Matrix's. */
            mentions: z.array(mention),
        }),
    ),
    mediaRepositories: z.array(neighbour.extend({ configFile: z.string().optional() })),
    authenticationServices: z.array(neighbour),
    /** What could not be looked at, and why. */
    notSeen: z.array(z.string()),
    notUnderstood: z.array(z.string()),
});
export type Discovery = z.infer<typeof discovery>;
export type Database = z.infer<typeof database>;
export type Media = z.infer<typeof media>;
export type Worker = z.infer<typeof worker>;
export type ContainerFacts = z.infer<typeof container>;
export type HomeserverService = z.infer<typeof service>;
