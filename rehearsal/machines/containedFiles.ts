/** The configuration of a Synapse in a container, as its official image has it: all below `/data`, the log on its console. */
import { stringify } from "yaml";
import { settingsForFilling } from "../source/homeserverConfig.ts";
import type { NewIdentity } from "../source/identity.ts";

/** On a server, as the container calls it; or a file, as the container has it. */
type ContainedDatabase =
    | { readonly host: string; readonly name: string; readonly user: string; readonly password: string }
    | { readonly file: string };

export interface ContainedFilesArgs {
    readonly serverName: string;
    readonly database: ContainedDatabase;
    /** As the container has it. */
    readonly mediaStore: string;
    readonly made: NewIdentity;
    readonly publicBaseUrl: string;
    readonly workers: readonly string[];
    /** As the container calls it; of a homeserver with workers. */
    readonly redis: string;
    readonly replicationSecret: string;
}

export const clientPort = 8008;
const replicationPort = 9093;
const workerPort = 8081;

/** By their names in the directory that is `/data`. */
export function containedFiles(args: ContainedFilesArgs): Record<string, string> {
    const { serverName, database, mediaStore, made, workers } = args;
    const hasWorkers = workers.length > 0;
    return {
        [`${serverName}.signing.key`]: made.signingKey,
        [`${serverName}.log.config`]: logConfig,
        "homeserver.yaml": stringify({
            server_name: serverName,
            pid_file: "/data/homeserver.pid",
            public_baseurl: args.publicBaseUrl,
            listeners: [
                listener(clientPort, ["client", "federation"]),
                ...(hasWorkers ? [listener(replicationPort, ["replication"])] : []),
            ],
            database: databaseSection(database),
            log_config: `/data/${serverName}.log.config`,
            media_store_path: mediaStore,
            signing_key_path: `/data/${serverName}.signing.key`,
            report_stats: false,
            ...made.settings,
            ...settingsForFilling(),
            ...(hasWorkers
                ? {
                      instance_map: { main: { host: "synapse", port: replicationPort } },
                      redis: { enabled: true, host: args.redis, port: 6379 },
                      worker_replication_secret: args.replicationSecret,
                  }
                : {}),
        }),
        ...Object.fromEntries(
            workers.map((worker) => [
                `workers/${worker}.yaml`,
                stringify({
                    worker_app: "synapse.app.generic_worker",
                    worker_name: worker,
                    worker_listeners: [listener(workerPort, ["client", "federation"])],
                    worker_log_config: `/data/${serverName}.log.config`,
                }),
            ]),
        ),
    };
}

function databaseSection(database: ContainedDatabase): object {
    if ("file" in database) return { name: "sqlite3", args: { database: database.file } };
    const { host, name, user, password } = database;
    return { name: "psycopg2", args: { user, password, dbname: name, host, cp_min: 3, cp_max: 8 } };
}

const listener = (port: number, names: readonly string[]): object => ({
    port,
    type: "http",
    tls: false,
    x_forwarded: true,
    bind_addresses: ["0.0.0.0"],
    resources: [{ names, compress: false }],
});

const logConfig = stringify({
    version: 1,
    formatters: { precise: { format: "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(message)s" } },
    handlers: { console: { class: "logging.StreamHandler", formatter: "precise" } },
    root: { level: "INFO", handlers: ["console"] },
    disable_existing_loggers: false,
});
