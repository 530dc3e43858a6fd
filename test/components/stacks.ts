/** Configurations for tests: what a stack's file holds, as Pulumi hands it to the program. */
import * as pulumi from "@pulumi/pulumi";
import { parseConfig, type MigrationConfig } from "../../components/config/parseConfig.ts";
import type { ConfigFacts } from "../../components/config/effective.ts";
import { HomeserverMigration, type HomeserverMigrationArgs } from "../../components/homeserverMigration.ts";
import { MigrationError, MigrationErrors } from "../../engine/run/errors.ts";
import type { MigrationSecrets } from "../../components/config/readStackConfig.ts";
import { targetLayout } from "../../components/targets/target.ts";
import { record, type RecorderOptions } from "./recorder.ts";

const project = "synapse-migration";

/** Recognisable wherever they turn up. */
export const secretTexts = {
    signingKey: "ed25519 a_AbCd c2VjcmV0LXNpZ25pbmcta2V5LXNlZWQtb2YtMzI",
    pepper: "secret-pepper-5f1c",
    macaroonSecretKey: "secret-macaroon-9ae0",
    canaryPassword: "secret-canary-77d2",
};

/** A value that stands in a stack's file: text, or an object that becomes JSON. */
export type Setting = string | object | undefined;

export const source = {
    kind: "selfHosted",
    homeserverConfig: "/srv/source/homeserver.yaml",
    service: { kind: "process", pidFile: "/srv/source/homeserver.pid" },
};
/** A source that comes as files, by its kind. */
export const bundleSources = {
    emsExport: {
        kind: "emsExport",
        database: "/srv/export/postgres-export.sql.gz.gpg",
        media: ["/srv/export/export-part-1.tgz.gpg", "/srv/export/export-part-2.tgz.gpg"],
    },
    backup: {
        kind: "backup",
        database: "/srv/backups/synapse_db_20260216_030001.sql.gz",
        media: "/srv/backups/media_store.tar.gz",
        homeserverConfig: "/srv/backups/homeserver.yaml",
    },
} as const;

/** Opens a bundle; no other stack has it. */
export const passphrase = "secret-passphrase-3b6e";
/** Opens a bundle that is encrypted to a public key. */
export const secretKey = "secret-key-of-a-backup-91fc";

/** Of a bucket of the target's own; no other stack has them. */
export const s3Keys = { s3AccessKeyId: "secret-access-key-id-4d11", s3SecretAccessKey: "secret-access-key-88ab" };

export const target = {
    kind: "local",
    directory: "/srv/target",
    synapsePython: "/srv/venv/bin/python",
    postgresPrograms: "/usr/lib/postgresql/15/bin",
};

const plainSettings: Readonly<Record<string, Setting>> = {
    serverName: "example.org",
    phase: "cutover",
    source,
    target,
    workDirectory: "/srv/work",
    canaryUser: "canary",
    publicBaseUrl: "https://matrix.example.org",
};

/** Settings on top of a valid stack; undefined takes one away. */
export function rawConfig(changes: Readonly<Record<string, Setting>> = {}): Record<string, string> {
    const settings: Readonly<Record<string, Setting>> = { ...plainSettings, ...secretTexts, ...changes };
    return Object.fromEntries(
        Object.entries(settings).flatMap(([key, value]) =>
            value === undefined
                ? []
                : [[`${project}:${key}`, typeof value === "string" ? value : JSON.stringify(value)] as const],
        ),
    );
}

export const facts: ConfigFacts = {
    project,
    stack: "test",
    encrypted: [...Object.keys(secretTexts), ...Object.keys(s3Keys), "passphrase", "secretKey"].map(
        (key) => `${project}:${key}`,
    ),
    stateDirectory: "/home/admin/.local/state",
};

/** The configuration of a valid stack with changes; a secret that is taken away is not set. */
export function configWith(changes: Readonly<Record<string, Setting>> = {}): MigrationConfig {
    return parseConfig(rawConfig(changes), facts);
}

/** What is wrong with a configuration, all of it. */
export function problemsOf(read: () => MigrationConfig): readonly MigrationError[] {
    try {
        read();
        return [];
    } catch (error) {
        if (error instanceof MigrationErrors) return error.errors;
        if (error instanceof MigrationError) return [error];
        throw error;
    }
}

export const problemsWith = (changes: Readonly<Record<string, Setting>>) => problemsOf(() => configWith(changes));

/** One line a problem: `SM-E0211 target.directory`. */
export const summary = (problems: readonly MigrationError[]): string[] =>
    problems.map(({ code, detail }) => `${code} ${detail.where}`);

function secretsOf(config: MigrationConfig): MigrationSecrets {
    const set = Object.entries({ ...secretTexts, ...s3Keys, passphrase, secretKey }).filter(([key]) =>
        [...config.secrets].some((secret) => secret === key),
    );
    return Object.fromEntries(set.map(([key, text]) => [key, pulumi.secret(text)]));
}

/** Declares a migration and records what that registers. */
export async function declare(
    changes: Readonly<Record<string, Setting>> = {},
    options: RecorderOptions = {},
    commitment: HomeserverMigrationArgs["commitment"] = "none",
) {
    const config = configWith(changes);
    const target = targetLayout(config.target, config.serverName);
    return record(
        () =>
            new HomeserverMigration("migration", {
                config,
                secrets: secretsOf(config),
                target,
                runId: config.run ?? "r1",
                commitment,
                environment: { node: "20.19.0" },
            }),
        options,
    );
}
