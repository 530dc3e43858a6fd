/** What a homeserver.yaml says about the homeserver: the settings a migration depends on, in types, paths made absolute. */
import { dirname, resolve } from "node:path";
import { z } from "zod";
import type { Finding } from "../../../contract/index.ts";
import type { DatabaseOverrides } from "../../../contract/source.ts";
import { MigrationError, throwAll } from "../../run/errors.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import type { Machine } from "../../machines/machine.ts";
import { finding } from "../../run/finding.ts";
import type { ContainerView } from "../../services/containers/containerView.ts";
import { registerSecret } from "../../run/redaction.ts";
import { mergeConfigFiles, type ConfigOrigin, type MergedConfig } from "./configFiles.ts";
import { databaseOf, withOneDatabase, type HomeserverDatabase, type PostgresDatabase } from "./databaseSettings.ts";
import { hostPath, pathInside, type PathMap } from "../../machines/pathMap.ts";
import { listenersOf, clientBaseUrl, type Listener } from "./listeners.ts";
import { findNotCarried } from "./notCarried.ts";
import { checkServerName } from "./serverName.ts";

/** A secret as the configuration has it: written there, or in a file. */
export type SecretSetting = { readonly value: string } | { readonly path: string };

export interface HomeserverConfig {
    /** Where its files are. */
    readonly machine: Machine;
    /** All files in the order they were applied, absolute. */
    readonly files: readonly string[];
    /** The directory of the last file. */
    readonly directory: string;
    /** What relative paths are relative to, where it is known: then it is of the container's own disk, as the sections' paths are. */
    readonly workingDirectory?: string | undefined;
    /** Of a homeserver in a container. */
    readonly view?: ContainerView | undefined;
    /** The effective top-level sections, as Synapse has them after merging; they hold secrets. */
    readonly sections: Readonly<Record<string, unknown>>;
    readonly origins: Readonly<Record<string, ConfigOrigin>>;
    /** Where directories that the sections name are on the machine; all other paths here are of the machine already. */
    readonly paths: PathMap;
    readonly serverName: string;
    readonly database: HomeserverDatabase;
    readonly mediaStorePath: string;
    /** One inline line, or the file (its default, `<directory>/<server_name>.signing.key`, included). */
    readonly signingKey: SecretSetting;
    /** Public halves of retired keys, by key id. */
    readonly oldSigningKeys: Readonly<Record<string, { readonly key: string; readonly expiredTs: number }>>;
    /** `password_config.pepper`; undefined when absent, which is not the same as empty. */
    readonly pepper: string | undefined;
    readonly macaroonSecretKey: SecretSetting | undefined;
    readonly registrationSharedSecret: SecretSetting | undefined;
    readonly formSecret: SecretSetting | undefined;
    readonly listeners: readonly Listener[];
    /** Base URL of the first http listener with the resource `client`, reachable from the same machine; undefined without one. */
    readonly clientBaseUrl: string | undefined;
    readonly publicBaseUrl: string | undefined;
    readonly pidFile: string | undefined;
    readonly logConfig: string | undefined;
    /** Names of the worker processes that the configuration mentions, without the main process. */
    readonly workers: readonly string[];
    readonly appServiceConfigFiles: readonly string[];
    /** What is overridden, ambiguous, or cannot come along without work; never what is fine. */
    readonly findings: readonly Finding[];
}

export interface ReadOptions {
    /** Where the files are; this machine when absent. */
    readonly machine?: Machine | undefined;
    /**
     * The directory Synapse was started in, against which it resolves relative paths. The configuration does not tell it, so
     * the default is the directory of the last configuration file, and each relative path is a finding SM-W0207.
     */
    readonly workingDirectory?: string;
    /** How to connect to the database, in the place of what the configuration says. */
    readonly database?: DatabaseOverrides | undefined;
    /** Where directories that the configuration names are on this machine. */
    readonly paths?: PathMap | undefined;
    /** Of a homeserver in a container: the paths of its configuration are the container's then, all of them. {@link paths} counts more. */
    readonly view?: ContainerView | undefined;
    /** Nobody connects to it: what the section says of the connection is of no matter. */
    readonly withoutDatabase?: boolean;
}

const text = z.string();
const settings = z.looseObject({
    server_name: text,
    media_store_path: text.default("media_store"),
    signing_key: text.nullish(),
    signing_key_path: text.nullish(),
    old_signing_keys: z.record(text, z.looseObject({ key: text, expired_ts: z.number().int() })).nullish(),
    password_config: z.looseObject({ pepper: text.nullish() }).nullish(),
    macaroon_secret_key: text.nullish(),
    macaroon_secret_key_path: text.nullish(),
    registration_shared_secret: text.nullish(),
    registration_shared_secret_path: text.nullish(),
    form_secret: text.nullish(),
    form_secret_path: text.nullish(),
    public_baseurl: text.nullish(),
    pid_file: text.nullish(),
    log_config: text.nullish(),
    app_service_config_files: z.array(text).nullish(),
    instance_map: z.record(text, z.unknown()).nullish(),
    stream_writers: z.record(text, z.union([text, z.array(text)])).nullish(),
});
type Settings = z.infer<typeof settings>;

/**
 * Reads the configuration of a homeserver: files or directories as given to Synapse's `--config-path`, in order.
 *
 * Files with secrets are not opened; see `readHomeserverSecrets`.
 *
 * @throws MigrationError SM-E0203 (not readable as YAML), SM-E0202 (server name), SM-E0205 (a secret given twice),
 *     SM-E0206 (a value of another type than Synapse takes); all of the last two at once
 */
export async function readHomeserverConfig(
    paths: readonly string[],
    options: ReadOptions = {},
): Promise<HomeserverConfig> {
    const { machine = thisMachine, view } = options;
    const absolute = paths.map((path) => resolve(path));
    if (view === undefined) return homeserverConfigOf(await mergeConfigFiles(machine, absolute), options);
    const map = { ...view.paths, ...options.paths };
    const files = absolute.map((path) => hostPath(path, map));
    refuseInside(machine, absolute, files);
    const merged = await mergeConfigFiles(machine, files);
    const [lastGiven = "/", lastFile] = [absolute.at(-1), files.at(-1)];
    // As the container has it: beside its last file is where Synapse looks for a key that nothing names.
    const keyDirectory = merged.files.at(-1) === lastFile ? dirname(lastGiven) : lastGiven;
    return homeserverConfigOf(
        merged,
        { workingDirectory: view.workingDirectory, ...options, paths: map },
        keyDirectory,
    );
}

/** @throws MigrationError SM-E1473 for files of the configuration itself that are in no mount */
function refuseInside(machine: Machine, given: readonly string[], files: readonly string[]): void {
    const inside = given.filter((_, index) => pathInside(files[index] ?? "") !== undefined);
    if (inside.length === 0) return;
    throw new MigrationError("SM-E1473", {
        where: machine.name,
        found: `in none of the container's mounts: ${inside.join(", ")}`,
        expected:
            "the configuration as the container has it, for example /data/homeserver.yaml, in a directory of the machine",
    });
}

/**
 * {@link readHomeserverConfig} of what is read already, or was never in a file.
 *
 * @param keyDirectory  where Synapse looks for a signing key that nothing names; beside the last file when absent
 */
export function homeserverConfigOf(
    read: MergedConfig,
    options: ReadOptions = {},
    keyDirectory?: string,
): HomeserverConfig {
    const merged = { ...read, sections: withOneDatabase(read.sections), texts: withOneDatabase(read.texts) };
    const values = parseSettings(merged);
    const directory = dirname(merged.files.at(-1) ?? "/");
    const findings: Finding[] = [...merged.findings];
    const paths = options.paths ?? {};
    const absolute = (path: string, setting: string): string => {
        const made = hostPath(resolve(options.workingDirectory ?? directory, path), paths);
        if (!path.startsWith("/") && options.workingDirectory === undefined) {
            findings.push(relativePath(setting, path, made));
        }
        return made;
    };
    const optionally = (path: string | null | undefined, setting: string): string | undefined =>
        path === null || path === undefined || path === "" ? undefined : absolute(path, setting);

    const serverName = checkServerName(values.server_name, locate(merged, "server_name"), { upperCase: true });
    const listeners = listenersOf(merged.sections, locate(merged, "listeners"));
    const secret = (name: "macaroon_secret_key" | "registration_shared_secret" | "form_secret") =>
        secretSetting(values[name], optionally(values[`${name}_path`], `${name}_path`));
    const config: Omit<HomeserverConfig, "findings"> = {
        machine: options.machine ?? thisMachine,
        workingDirectory: options.workingDirectory,
        view: options.view,
        files: merged.files,
        directory,
        sections: merged.sections,
        origins: merged.origins,
        paths,
        serverName,
        database: databaseOf(merged.sections, {
            texts: merged.texts,
            where: locate(merged, "database" in merged.origins ? "database" : "databases"),
            absolute,
            overrides: options.database,
        }),
        mediaStorePath: absolute(values.media_store_path, "media_store_path"),
        signingKey: secretSetting(values.signing_key, optionally(values.signing_key_path, "signing_key_path")) ?? {
            path:
                keyDirectory === undefined
                    ? resolve(directory, `${serverName}.signing.key`)
                    : hostPath(resolve(keyDirectory, `${serverName}.signing.key`), paths),
        },
        oldSigningKeys: Object.fromEntries(
            Object.entries(values.old_signing_keys ?? {}).map(([id, { key, expired_ts }]) => [
                id,
                { key, expiredTs: expired_ts },
            ]),
        ),
        pepper: values.password_config?.pepper ?? undefined,
        macaroonSecretKey: secret("macaroon_secret_key"),
        registrationSharedSecret: secret("registration_shared_secret"),
        formSecret: secret("form_secret"),
        listeners,
        clientBaseUrl: clientBaseUrl(listeners),
        publicBaseUrl: values.public_baseurl ?? undefined,
        pidFile: optionally(values.pid_file, "pid_file"),
        logConfig: optionally(values.log_config, "log_config"),
        workers: workersOf(values),
        appServiceConfigFiles: (values.app_service_config_files ?? []).map((path) =>
            absolute(path, "app_service_config_files"),
        ),
    };
    const connects = options.withoutDatabase !== true && config.database.kind === "postgres";
    const unreachable = connects ? config.database.problems : [];
    findings.push(
        ...unreachable.map(({ code, detail }) => finding(code, `${detail.where}: ${detail.found}`, detail.fix)),
    );
    return { ...config, findings: [...findings, ...findNotCarried(config)] };
}

/**
 * The homeserver's one PostgreSQL database.
 *
 * @throws MigrationError SM-E0505 for SQLite, SM-E0704 for several databases
 */
export function requirePostgres(config: Pick<HomeserverConfig, "database" | "directory">): PostgresDatabase {
    const { database } = config;
    if (database.kind === "postgres") return database;
    throw database.kind === "sqlite"
        ? new MigrationError("SM-E0505", { where: database.where, found: `the SQLite file ${database.path}` })
        : new MigrationError("SM-E0704", {
              where: database.where,
              found: `\`databases:\` with ${database.names.join(", ")}`,
              expected: "one `database:`",
              fix: "bring the stores back into one database first, as Synapse's documentation of `databases` describes",
          });
}

function parseSettings(merged: MergedConfig): Settings {
    const parsed = settings.safeParse(merged.sections);
    if (!parsed.success) {
        throwAll(
            parsed.error.issues.map(
                (issue) =>
                    new MigrationError("SM-E0206", {
                        where: locate(merged, String(issue.path[0])),
                        // Zod's messages name types, not values; values may be secrets.
                        found: `${issue.path.join(".")}: ${issue.message}`,
                    }),
            ),
        );
    }
    const values = settings.parse(merged.sections);
    for (const value of [
        values.signing_key,
        values.password_config?.pepper,
        values.macaroon_secret_key,
        values.registration_shared_secret,
        values.form_secret,
    ]) {
        if (typeof value === "string") registerSecret(value);
    }
    throwAll(
        (["signing_key", "macaroon_secret_key", "registration_shared_secret", "form_secret"] as const)
            .filter((name) => Boolean(values[name]) && Boolean(values[`${name}_path`]))
            .map(
                (name) =>
                    new MigrationError("SM-E0205", {
                        where: `${locate(merged, name)} and ${locate(merged, `${name}_path`)}`,
                        found: `both ${name} and ${name}_path`,
                        expected: "one of them",
                    }),
            ),
    );
    return values;
}

/** An empty secret is none, as in Synapse. */
function secretSetting(value: string | null | undefined, path: string | undefined): SecretSetting | undefined {
    if (typeof value === "string" && value !== "") return { value };
    return path === undefined ? undefined : { path };
}

function workersOf(values: Settings): string[] {
    const writers = Object.values(values.stream_writers ?? {}).flat();
    const names = new Set([...Object.keys(values.instance_map ?? {}), ...writers]);
    return [...names].filter((name) => name !== "main" && name !== "master").sort();
}

function locate(merged: MergedConfig, key: string): string {
    const origin = merged.origins[key];
    return origin === undefined ? `${merged.files.join(", ")} (${key})` : `${origin.file}:${origin.line}`;
}

function relativePath(setting: string, path: string, made: string): Finding {
    return {
        id: "SM-W0207",
        severity: "warning",
        evidence: `${setting} is the relative path ${path}; taken as ${made}`,
        fix: "write the absolute path into homeserver.yaml if Synapse is started in another directory",
    };
}
