/** The files of a source homeserver: what an administrator would have in /etc/matrix-synapse. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { giveToServiceUser, makeServiceDirectory } from "../directory.ts";
import type { DatabaseAddress } from "./cluster.ts";
import { makeIdentity, type HomeserverIdentity } from "./identity.ts";

export interface HomeserverConfigArgs {
    readonly directory: string;
    readonly serverName: string;
    readonly database: DatabaseAddress | SqliteFile;
    readonly port: number;
}

/** Synapse's other kind of database. */
export interface SqliteFile {
    /** Made by Synapse, in a directory that it may write to. */
    readonly file: string;
}

export interface HomeserverFiles extends HomeserverIdentity {
    readonly configFile: string;
    readonly pidFile: string;
    readonly logFile: string;
    readonly mediaStore: string;
    readonly signingKeyFile: string;
}

/** Far above what filling needs: filling is to be bound by the server, not by its patience. */
const unlimited = { per_second: 100_000, burst_count: 100_000 };
/** Synapse's default of 12 costs 0.3 s of a core a password; the hashes are moved as they are, whatever they cost. */
const bcryptRounds = 5;

/** Writes homeserver.yaml, signing key and log configuration, readable by the user that runs Synapse only. */
export function writeHomeserverFiles(args: HomeserverConfigArgs): HomeserverFiles {
    const { directory, serverName } = args;
    const mediaStore = makeServiceDirectory(join(directory, "media_store"));
    const write = (name: string, text: string): string => {
        const file = join(directory, name);
        writeFileSync(file, text, { mode: 0o600 });
        giveToServiceUser(file);
        return file;
    };
    const { identity, signingKey, settings } = makeIdentity();
    const signingKeyFile = write(`${serverName}.signing.key`, signingKey);
    const pidFile = join(directory, "homeserver.pid");
    const logFile = join(directory, "homeserver.log");
    const configFile = write(
        "homeserver.yaml",
        stringify({
            server_name: serverName,
            pid_file: pidFile,
            public_baseurl: `http://127.0.0.1:${args.port}/`,
            listeners: [listener(args.port)],
            database: database(args.database),
            log_config: write(`${serverName}.log.config`, logConfig(logFile)),
            media_store_path: mediaStore,
            ...settings,
            signing_key_path: signingKeyFile,
            report_stats: false,
            ...settingsForFilling(),
        }),
    );
    return {
        configFile,
        pidFile,
        logFile,
        mediaStore,
        signingKeyFile,
        ...identity,
    };
}

const listener = (port: number): object => ({
    port,
    type: "http",
    tls: false,
    x_forwarded: true,
    bind_addresses: ["127.0.0.1"],
    resources: [{ names: ["client", "federation"], compress: false }],
});

function database(place: DatabaseAddress | SqliteFile): object {
    if ("file" in place) return { name: "sqlite3", args: { database: place.file } };
    const { host, port, name, user, password } = place;
    return { name: "psycopg2", args: { host, port, dbname: name, user, password, cp_min: 3, cp_max: 8 } };
}

const logConfig = (file: string): string =>
    stringify({
        version: 1,
        formatters: { precise: { format: "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(message)s" } },
        handlers: { file: { class: "logging.FileHandler", formatter: "precise", filename: file, encoding: "utf8" } },
        root: { level: "WARNING", handlers: ["file"] },
        disable_existing_loggers: false,
    });

/** What a homeserver must let pass to be filled in seconds, and to have one of each kind of user. */
export const settingsForFilling = (): object => ({
    bcrypt_rounds: bcryptRounds,
    allow_guest_access: true,
    enable_registration: false,
    presence: { enabled: false },
    url_preview_enabled: false,
    // Nobody of the federation can be reached from a rehearsal.
    federation_domain_whitelist: [],
    trusted_key_servers: [],
    suppress_key_server_warning: true,
    max_upload_size: "20M",
    // A fresh database has background updates to do; without pauses they are done when the server is filled.
    background_updates: { sleep_enabled: false },
    rc_message: unlimited,
    rc_registration: unlimited,
    rc_login: { address: unlimited, account: unlimited, failed_attempts: unlimited },
    rc_admin_redaction: unlimited,
    rc_joins: { local: unlimited, remote: unlimited },
    rc_joins_per_room: unlimited,
    rc_key_requests: unlimited,
    rc_invites: { per_room: unlimited, per_user: unlimited, per_issuer: unlimited },
    rc_media_create: unlimited,
    rc_room_creation: unlimited,
    rc_user_directory: unlimited,
    rc_profile: unlimited,
});
