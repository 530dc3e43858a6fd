/** The target's configuration: the source's, with only what must differ replaced. Pure; nothing is read or written here. */
import { isLeftOut, isWorkerSetting, portSettings, tlsSettings } from "./movedSettings.ts";
import { isMapping, without } from "./configTree.ts";

type Sections = Readonly<Record<string, unknown>>;

/** What differs on the target. */
export interface TargetPlace {
    readonly serverName: string;
    readonly mediaStorePath: string;
    readonly signingKeyPath: string;
    readonly pidFile: string;
    readonly logConfig: string;
    readonly listener: { readonly bindAddress: string; readonly port: number };
    readonly isolated: boolean;
    /** Whether no other program serves the media. */
    readonly servesMedia: boolean;
}

/** The database the target connects to; the password is a secret. */
export interface TargetConnection {
    readonly host: string;
    readonly port: number;
    readonly name: string;
    readonly user: string;
    readonly password: string;
}

/** Resources of Synapse that are served to clients and other servers. */
const publicResources = ["client", "federation", "consent", "keys", "media", "openid", "static", "health"] as const;

/**
 * The file without secrets.
 *
 * @param sections  the source's sections that hold no secrets
 */
export function targetSections(sections: Sections, all: Sections, place: TargetPlace): Sections {
    const kept = without(
        sections,
        (key) => isLeftOut(key) || (place.isolated && key === "sentry") || (ofMainProcess.has(key) && ownsMedia(all)),
    );
    return {
        ...kept,
        server_name: place.serverName,
        // Synapse refuses to start without it.
        report_stats: sections["report_stats"] ?? false,
        listeners: [targetListener(all, place)],
        media_store_path: place.mediaStorePath,
        signing_key_path: place.signingKeyPath,
        pid_file: place.pidFile,
        log_config: place.logConfig,
        ...(place.servesMedia ? {} : { enable_media_repo: false }),
    };
}

/** What the main process is told where it has no media, which the one process of the target has. */
const ofMainProcess = new Set(["enable_media_repo", "enable_local_media_storage"]);

/** Synapse's main process has no media repository when a worker of its own has it. */
function ownsMedia(all: Sections): boolean {
    return "media_instance_running_background_jobs" in all;
}

function targetListener(all: Sections, place: TargetPlace): Sections {
    const listeners = Array.isArray(all["listeners"]) ? (all["listeners"] as unknown[]).filter(isMapping) : [];
    const names = new Set(listeners.flatMap(resourceNames));
    // Workers may have served either of the two.
    names.add("client").add("federation");
    // Synapse refuses to start with both this and `enable_media_repo: false`.
    if (!place.servesMedia) names.delete("media");
    const additional = listeners.map((listener) => listener["additional_resources"]).filter(isMapping);
    return {
        type: "http",
        bind_addresses: [place.listener.bindAddress],
        port: place.listener.port,
        tls: false,
        x_forwarded: true,
        resources: [{ names: publicResources.filter((name) => names.has(name)), compress: false }],
        ...(additional.length === 0 || place.isolated
            ? {}
            : { additional_resources: Object.assign({}, ...additional) as unknown }),
    };
}

function resourceNames(listener: Sections): unknown[] {
    const resources = Array.isArray(listener["resources"])
        ? (listener["resources"] as unknown[]).filter(isMapping)
        : [];
    return resources.flatMap((resource) => (Array.isArray(resource["names"]) ? (resource["names"] as unknown[]) : []));
}

/** Connection arguments that belong to the source's server; the pool's and the others come along. */
const sourceConnection =
    /^(host|hostaddr|port|user|password|passfile|dbname|database|service|dsn|ssl.*|gss.*|krb.*|channel_binding|require_?.*|target_session_attrs)$/;

/** The `database:` section with the target's connection and the source's pool settings. */
export function targetDatabaseSection(sections: Sections, connection: TargetConnection): Sections {
    const section = isMapping(sections["database"]) ? sections["database"] : {};
    // What Synapse sets for the file of SQLite is nothing that psycopg2 knows.
    const source = section["name"] === "psycopg2" ? section : {};
    const args = isMapping(source["args"]) ? source["args"] : {};
    return {
        database: {
            ...without(source, (key) => key === "allow_unsafe_locale" || key === "data_stores"),
            name: "psycopg2",
            args: {
                cp_min: 5,
                cp_max: 10,
                ...without(args, (key) => sourceConnection.test(key)),
                host: connection.host,
                port: connection.port,
                dbname: connection.name,
                user: connection.user,
                password: connection.password,
            },
        },
    };
}

/** The file of a rehearsal's target that is read last. */
export const isolationName = "isolation.yaml";

/** What a rehearsal's target is without, whichever part of it reaches out: named to who reads what did not come along. */
const isolatedSettings: readonly string[] = [
    ...["email", "app_service_config_files", "modules", "password_providers", "media_storage_providers"],
    ...["spam_checker", "third_party_event_rules", "sentry", "opentracing", "account_threepid_delegates"],
    "url_preview_enabled",
];

/**
 * What keeps a rehearsal's target to itself. Applied last, over everything: no federation, push, mail, application services,
 * modules, storage providers, previews, statistics, tracing. Single sign-on stays, as logging in is a user's own doing.
 *
 * Modules have had settings of their own before they had `modules`, and Synapse still takes those. Without `email` mail goes to a server on the
 * same machine, so what sends it by itself is told not to.
 */
export function isolationSections(sections: Sections): Sections {
    const push = isMapping(sections["push"]) ? sections["push"] : {};
    const lacking = (name: string, key: string): Sections => {
        const section = sections[name];
        return isMapping(section) && key in section ? { [name]: without(section, (own) => own === key) } : {};
    };
    return {
        spam_checker: [],
        third_party_event_rules: null,
        ...lacking("presence", "presence_router"),
        ...lacking("account_validity", "renew_at"),
        federation_domain_whitelist: [],
        trusted_key_servers: [],
        suppress_key_server_warning: true,
        allow_public_rooms_over_federation: false,
        // The second only ends the reckoning of what is to be pushed: what was due when the copy was made would still be sent.
        start_pushers: false,
        push: { ...push, enabled: false },
        email: {},
        app_service_config_files: [],
        modules: [],
        password_providers: [],
        media_storage_providers: [],
        account_threepid_delegates: {},
        url_preview_enabled: false,
        report_stats: false,
        opentracing: { enabled: false },
    };
}

/** What of the source does not come along, one line each, for people. */
export function notCarried(all: Sections, isolated: boolean): string[] {
    const present = (keys: (key: string) => boolean): string => Object.keys(all).filter(keys).sort().join(", ");
    const line = (keys: string, why: string): string[] => (keys === "" ? [] : [`${keys}: ${why}`]);
    const listeners = Array.isArray(all["listeners"]) ? (all["listeners"] as unknown[]).filter(isMapping) : [];
    const otherListeners = listeners.filter(
        (listener) => listener["type"] !== "http" || resourceNames(listener).some((name) => name === "metrics"),
    );
    return [
        ...line(present(isWorkerSetting), "the target runs as one process"),
        ...line(
            present((key) => tlsSettings.has(key)),
            "TLS ends in front of the gateway",
        ),
        ...line(
            present((key) => portSettings.has(key)),
            "the target opens one port only",
        ),
        ...otherListeners.map(
            (listener) =>
                `listeners: ${String(listener["type"])} on ${typeof listener["path"] === "string" ? listener["path"] : `port ${String(listener["port"])}`}: one listener only`,
        ),
        ...(isolated
            ? line(
                  present((key) => isolatedSettings.includes(key)),
                  "a rehearsal's target keeps to itself",
              )
            : []),
    ];
}

/** Python's logging configuration: one file, rotated, no SQL and no tokens. */
export function logConfig(logFile: string): Sections {
    return {
        version: 1,
        disable_existing_loggers: false,
        formatters: {
            precise: {
                format: "%(asctime)s - %(name)s - %(lineno)d - %(levelname)s - %(request)s - %(message)s",
            },
        },
        handlers: {
            file: {
                class: "logging.handlers.RotatingFileHandler",
                formatter: "precise",
                filename: logFile,
                maxBytes: 104_857_600,
                backupCount: 3,
                encoding: "utf8",
            },
        },
        loggers: { "synapse.storage.SQL": { level: "WARNING" } },
        root: { level: "INFO", handlers: ["file"] },
    };
}
