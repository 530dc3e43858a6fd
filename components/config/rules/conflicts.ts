/** Rules that a stack's configuration must keep as a whole. */
import { isAbsolute, relative } from "node:path";
import { MigrationError } from "../../../engine/run/errors.ts";
import { copyOf, declaredPhase, hasServers, reaches, workDirectory, type ConfigFacts } from "../effective.ts";
import type { PlainConfig, SecretKey } from "../schema.ts";
import { installedProblems } from "./installed.ts";
import { mediaRepoProblems } from "./mediaRepo.ts";
import { mediaStorageProblems } from "./mediaStorage.ts";
import { invalidValue, missingValue, type Locate } from "../problems.ts";
import { replicateConflicts } from "./replicate.ts";

/** What single values cannot show: settings that contradict each other, or that need another one. */
export function conflicts(
    config: PlainConfig,
    secrets: ReadonlySet<SecretKey>,
    facts: ConfigFacts,
    locate: Locate,
): MigrationError[] {
    const problems: MigrationError[] = [];
    if (config.stack !== undefined && config.stack !== facts.stack)
        problems.push(
            new MigrationError("SM-E0220", {
                where: locate(["stack"]),
                found: `stack "${facts.stack}" is selected`,
                expected: `stack "${config.stack}", which moves ${config.serverName}`,
            }),
        );
    const runs = config.source.kind === "selfHosted";
    if (reaches(declaredPhase(config), "stage"))
        // A bundle may come without its macaroon secret.
        for (const key of ["signingKey", ...(runs ? (["macaroonSecretKey"] as const) : [])] as const)
            if (!secrets.has(key))
                problems.push(missingValue([key], "a secret of the source, from phase stage on", locate));
    if (runs && config.target.kind !== "emsBundle" && secrets.has("passphrase"))
        problems.push(
            invalidValue(
                ["passphrase"],
                "(encrypted)",
                "not set: a source of kind selfHosted has no encrypted bundle",
                locate,
            ),
        );
    if (runs && secrets.has("secretKey"))
        problems.push(
            invalidValue(
                ["secretKey"],
                "(encrypted)",
                "not set: a source of kind selfHosted has no encrypted bundle",
                locate,
            ),
        );
    if (runs && config.copy !== "port" && config.sqliteNul !== undefined)
        problems.push(
            invalidValue(
                ["sqliteNul"],
                config.sqliteNul,
                "not set: only a source of kind selfHosted with `copy: port` has an SQLite database",
                locate,
            ),
        );
    if (config.canaryUser !== undefined && !secrets.has("canaryPassword"))
        problems.push(missingValue(["canaryPassword"], `the password of ${config.canaryUser}`, locate));
    if (config.canaryUser === undefined && secrets.has("canaryPassword"))
        problems.push(missingValue(["canaryUser"], "the account that canaryPassword belongs to", locate));
    if (runs && config.canaryUser !== undefined && (config.canaryBaseUrl ?? config.publicBaseUrl) === undefined)
        problems.push(
            missingValue(["canaryBaseUrl"], "where the source answers clients, for the test account", locate),
        );
    const work = workDirectory(config, facts);
    if (within(work, config.target.directory) || within(config.target.directory, work))
        problems.push(
            invalidValue(
                ["target", "directory"],
                config.target.directory,
                `outside of the work directory ${work}`,
                locate,
            ),
        );
    problems.push(...replicateConflicts(config, locate));
    problems.push(...mediaStorageProblems(config, secrets, locate));
    return [...problems, ...copyConflicts(config, locate), ...targetConflicts(config, secrets, locate)];
}

function copyConflicts(config: PlainConfig, locate: Locate): MigrationError[] {
    const problems: MigrationError[] = [];
    if (config.copy === "direct" && !hasServers(config))
        problems.push(
            invalidValue(
                ["copy"],
                config.copy,
                "archive: only a source of kind selfHosted is copied directly, and only to a target of kind local",
                locate,
            ),
        );
    if (config.copy === "port" && !hasServers(config))
        problems.push(
            invalidValue(
                ["copy"],
                config.copy,
                "archive: only the SQLite file of a source of kind selfHosted is ported, and only to a target of kind local",
                locate,
            ),
        );
    if (config.copyRateLimit > 0 && ["archive", "port"].includes(copyOf(config)))
        problems.push(
            invalidValue(["copyRateLimit"], config.copyRateLimit, "not set: it is the limit of a direct copy", locate),
        );
    const isFilled =
        config.target.kind === "installed" || (config.target.kind === "local" && config.target.media === undefined);
    if (config.mediaRateLimit > 0 && (config.source.kind !== "selfHosted" || !isFilled))
        problems.push(
            invalidValue(
                ["mediaRateLimit"],
                config.mediaRateLimit,
                "not set: it is for a source of kind selfHosted that serves while its media are copied into the target's media store",
                locate,
            ),
        );
    return problems;
}

/** What a target of one kind needs, or cannot have. */
function targetConflicts(config: PlainConfig, secrets: ReadonlySet<SecretKey>, locate: Locate): MigrationError[] {
    const problems: MigrationError[] = [];
    const { target, source, canaryUser } = config;
    if (target.kind === "local") {
        const { listener, gateway, database } = target;
        if (config.rehearsal && database.replace)
            problems.push(
                invalidValue(
                    ["target", "database", "replace"],
                    true,
                    "false: a rehearsal replaces nothing that is in use",
                    locate,
                ),
            );
        if (listener.port !== 0 && listener.port === gateway.port && listener.bindAddress === gateway.bindAddress)
            problems.push(
                invalidValue(["target", "gateway", "port"], gateway.port, "another port than the listener's", locate),
            );
        return [...problems, ...mediaRepoProblems(config, locate)];
    }
    if (target.kind === "installed") return [...problems, ...installedProblems(config, locate)];
    if (source.kind !== "selfHosted")
        problems.push(
            invalidValue(
                ["target", "kind"],
                target.kind,
                "local: only a source of kind selfHosted is exported",
                locate,
            ),
        );
    const isEncrypted = target.recipientKeyFile !== undefined || secrets.has("passphrase");
    if (!isEncrypted && reaches(declaredPhase(config), "stage"))
        problems.push(missingValue(["passphrase"], "one, or target.recipientKeyFile, from phase stage on", locate));
    if (target.recipientKeyFile !== undefined && secrets.has("passphrase"))
        problems.push(
            invalidValue(["passphrase"], "(encrypted)", "not set: target.recipientKeyFile encrypts the bundle", locate),
        );
    if (canaryUser !== undefined)
        problems.push(
            invalidValue(["canaryUser"], canaryUser, "not set: a bundle is not started, and nobody logs in", locate),
        );
    return problems;
}

function within(path: string, directory: string): boolean {
    const way = relative(directory, path);
    return way === "" || (!way.startsWith("..") && !isAbsolute(way));
}
