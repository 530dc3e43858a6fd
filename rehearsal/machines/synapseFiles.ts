/** The configuration of a Synapse on a machine, in the files that Debian's package reads it from. */
import { stringify } from "yaml";
import { settingsForFilling } from "../source/homeserverConfig.ts";
import type { NewIdentity } from "../source/identity.ts";
import { synapseUser } from "./baseRecipe.ts";
import { workersDirectory } from "./synapseUnits.ts";

export interface MachineDatabase {
    /** A directory for a Unix socket, or an address. */
    readonly host: string;
    readonly name: string;
    readonly user: string;
    /** Absent where the server lets Synapse in by the name of the user that it runs as. */
    readonly password?: string;
}

export const mediaStore = `${synapseUser.home}/media`;
export const signingKeyFile = "/etc/matrix-synapse/homeserver.signing.key";
export const logDirectory = "/var/log/matrix-synapse";
const mainPort = 8008;
const replicationPort = 9093;
const firstWorkerPort = 8083;

export interface SynapseFilesArgs {
    readonly serverName: string;
    readonly database: MachineDatabase;
    readonly made: NewIdentity;
    readonly workers: readonly string[];
    /** Proves one process of the homeserver to another. */
    readonly replicationSecret: string;
    readonly publicBaseUrl: string;
}

/** Each worker, and the port it is asked at. */
const workerPort = (index: number): number => firstWorkerPort + index;

/** Path and content. All are secret, or as good as. */
export function synapseFiles(args: SynapseFilesArgs): Record<string, string> {
    const { database, made, workers } = args;
    const { host, name, user, password } = database;
    return {
        [signingKeyFile]: made.signingKey,
        "/etc/matrix-synapse/conf.d/server_name.yaml": stringify({ server_name: args.serverName }),
        "/etc/matrix-synapse/conf.d/report_stats.yaml": stringify({ report_stats: false }),
        "/etc/matrix-synapse/log.yaml": logConfig("homeserver"),
        "/etc/matrix-synapse/homeserver.yaml": stringify({
            pid_file: "/var/run/matrix-synapse.pid",
            public_baseurl: args.publicBaseUrl,
            listeners: [
                listener(mainPort, ["client", "federation"]),
                ...(workers.length === 0 ? [] : [listener(replicationPort, ["replication"])]),
            ],
            database: { name: "psycopg2", args: { user, password, dbname: name, host, cp_min: 3, cp_max: 8 } },
            log_config: "/etc/matrix-synapse/log.yaml",
            media_store_path: mediaStore,
            signing_key_path: signingKeyFile,
            ...made.settings,
            ...settingsForFilling(),
            ...(workers.length === 0 ? {} : replication(args.replicationSecret)),
        }),
        ...Object.fromEntries(
            workers.flatMap((worker, index) => [
                [`${workersDirectory}/${worker}.yaml`, workerConfig(worker, index)],
                [logFile(worker), logConfig(worker)],
            ]),
        ),
    };
}

const logFile = (worker: string): string => `/etc/matrix-synapse/${worker}-log.yaml`;

const replication = (secret: string): object => ({
    instance_map: { main: { host: "127.0.0.1", port: replicationPort } },
    redis: { enabled: true, host: "127.0.0.1", port: 6379 },
    worker_replication_secret: secret,
});

const workerConfig = (name: string, index: number): string =>
    stringify({
        worker_app: "synapse.app.generic_worker",
        worker_name: name,
        worker_listeners: [listener(workerPort(index), ["client", "federation"])],
        worker_log_config: logFile(name),
    });

const listener = (port: number, names: readonly string[]): object => ({
    port,
    type: "http",
    tls: false,
    x_forwarded: true,
    bind_addresses: ["127.0.0.1"],
    resources: [{ names, compress: false }],
});

const logConfig = (process: string): string =>
    stringify({
        version: 1,
        formatters: { precise: { format: "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(message)s" } },
        handlers: {
            file: {
                class: "logging.handlers.TimedRotatingFileHandler",
                formatter: "precise",
                filename: `${logDirectory}/${process}.log`,
                when: "midnight",
                backupCount: 3,
                encoding: "utf8",
            },
        },
        root: { level: "INFO", handlers: ["file"] },
        disable_existing_loggers: false,
    });

/**
 * nginx in front of it, on port 80.
 *
 * What the documentation of workers lets a generic worker answer, and clients ask most, goes to the workers.
 */
export function nginxSite(serverName: string, workers: number): string {
    const proxied = (to: string): string => `        proxy_pass http://${to};
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_set_header Host $host;
        proxy_read_timeout 120s;
        proxy_http_version 1.1;`;
    const ports = Array.from({ length: workers }, (_, index) => `    server 127.0.0.1:${workerPort(index)};`);
    const upstream = workers === 0 ? "" : `upstream workers {\n${ports.join("\n")}\n}\n\n`;
    const toWorkers = "^/_matrix/client/(r0|v3|v1)/(sync|rooms/.*/(messages|context|joined_members|send|state))";
    const forWorkers = workers === 0 ? "" : `    location ~ ${toWorkers} {\n${proxied("workers")}\n    }\n`;
    return `${upstream}server {
    listen 80;
    listen [::]:80;
    server_name ${serverName} _;
    client_max_body_size 50M;

${forWorkers}    location ~ ^(/_matrix|/_synapse/client|/_synapse/admin|/health) {
${proxied(`127.0.0.1:${mainPort}`)}
    }
}
`;
}
