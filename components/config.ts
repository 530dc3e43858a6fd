/** A stack's configuration, validated: pure, and with all problems reported at once. */
import { isAbsolute, join, relative } from "node:path";
import type { z } from "zod";
import { phases, type Phase, type ReplicationAddress, type Source } from "../steps/contract.ts";
import { MigrationError, throwAll } from "../steps/run/errors.ts";
import { decoded, kindOf, plainSchema, secretKeys, type PlainKey, type SecretKey } from "./configKeys.ts";
import { invalidValue, missingValue, schemaProblems, unknownKey, type Locate } from "./configProblems.ts";
import { replicateConflicts } from "./replicateRules.ts";
import { mediaStorageProblems } from "./mediaStorageRules.ts";
import { mediaRepoProblems } from "./mediaRepoRules.ts";
import type { TargetConfig } from "./targets/target.ts";

/** What a stack's configuration asks for. Holds no secret. */
export interface MigrationConfig {
    readonly serverName: string;
    /** The desired state; includes all phases before it. */
    readonly phase: Phase;
    /** From a snapshot into an isolated target; the source is never fenced. */
    readonly rehearsal: boolean;
    /** The target may be destroyed whole even after its commit. */
    readonly disposable: boolean;
    /** Pulumi refuses to delete or replace what holds secrets and data of the target. */
    readonly protect: boolean;
    /** Id of the run; the assessment finds one when it is absent. */
    readonly run?: string | undefined;
    readonly source: Source;
    readonly target: TargetConfig;
    /** How the database travels: as a dump in files, from server to server, or as a copy that follows until the cut-over. */
    readonly copy: "archive" | "direct" | "replicate";
    /** How a target that has followed is compared while nobody is served: `strict` hashes every row of both sides. */
    readonly verify: "quick" | "strict";
    /** Where the target's PostgreSQL server finds the source's, if not where we do. */
    readonly replicationAddress?: ReplicationAddress | undefined;
    /** Processes or connections that dump, restore or copy at the same time; each step has a number of its own when absent. */
    readonly copyJobs?: number | undefined;
    /** Of a direct copy's rows, MiB a second; no limit when absent. */
    readonly copyRateLimit?: number | undefined;
    /** How long the copy of a replaced database, and the database itself, are kept at least. */
    readonly safeguardHours: number;
    readonly remoteMedia: "carry" | "drop";
    /** Codes of warnings that block until somebody has read and accepted them. */
    readonly acknowledge: readonly string[];
    /** Runs are kept below it, a directory each, named by their id. */
    readonly workDirectory: string;
    /** Where reports go, a directory a run. They stay when the stack is destroyed. */
    readonly reportDirectory: string;
    readonly publicBaseUrl?: string | undefined;
    /** A test account of the source, and where a source that runs answers it. */
    readonly canary?: { readonly user: string; readonly baseUrl?: string | undefined };
    /** The secrets that are set, an empty one included. */
    readonly secrets: ReadonlySet<SecretKey>;
}

/** What the rules need to know besides the configuration itself. */
export interface ConfigFacts {
    readonly project: string;
    readonly stack: string;
    /** Full names of the keys that are kept encrypted, as in `PULUMI_CONFIG_SECRET_KEYS`. */
    readonly encrypted: readonly string[];
    /** `$XDG_STATE_HOME`, or `~/.local/state`. */
    readonly stateDirectory: string;
    readonly locate?: Locate;
}

/** Whether the phase that is declared includes the other one. */
export const reaches = (declared: Phase, phase: Phase): boolean => phases.indexOf(declared) >= phases.indexOf(phase);

/**
 * Reads the configuration of a stack.
 *
 * @param raw  full names and texts, as `pulumi.runtime.allConfig()` gives them; keys of other namespaces are not looked at, and a
 *     text that is empty is not set, because Pulumi requires each key that it knows the type of to have a default
 * @throws MigrationError or MigrationErrors SM-E0201, SM-E0211, SM-E0212, SM-E0220, SM-E0222
 */
export function parseConfig(raw: Readonly<Record<string, string>>, facts: ConfigFacts): MigrationConfig {
    const locate: Locate = facts.locate ?? ((path) => path.map(String).join("."));
    const prefix = `${facts.project}:`;
    const encrypted = new Set(facts.encrypted);
    const entries = Object.entries(raw)
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, text]) => ({ key: name.slice(prefix.length), text, encrypted: encrypted.has(name) }))
        .filter((entry) => entry.text !== "" || entry.encrypted);

    const problems: MigrationError[] = [];
    const secrets = new Set<SecretKey>();
    const values: Partial<Record<PlainKey, unknown>> = {};
    for (const { key, text, encrypted } of entries) {
        if (isSecretKey(key)) {
            if (encrypted) secrets.add(key);
            else problems.push(plaintextSecret(key, facts, locate));
        } else if (!isPlainKey(key)) problems.push(unknownKey([], key, locate));
        else if (encrypted) problems.push(invalidValue([key], "(encrypted)", "a value in plain text", locate));
        else {
            const value = decoded(kindOf(key), text);
            if (value === undefined) problems.push(invalidValue([key], text, `of type ${kindOf(key)}`, locate));
            values[key] = value;
        }
    }
    const reported = new Set(problems.map((problem) => problem.detail.where));
    const parsed = plainSchema.safeParse(values);
    if (!parsed.success)
        problems.push(
            ...schemaProblems(parsed.error, values, locate).filter(({ detail }) => !reported.has(detail.where)),
        );
    else
        problems.push(
            ...conflicts(parsed.data, secrets, facts, locate).filter(({ detail }) => !reported.has(detail.where)),
        );
    throwAll(problems);
    return normalised(plainSchema.parse(values), secrets, facts);
}

type PlainConfig = z.infer<typeof plainSchema>;

const isPlainKey = (key: string): key is PlainKey => Object.hasOwn(plainSchema.shape, key);
const isSecretKey = (key: string): key is SecretKey => secretKeys.some((known) => known === key);

const declaredPhase = (config: PlainConfig): Phase => config.phase ?? (config.rehearsal ? "cutover" : "assess");
const workDirectory = (config: PlainConfig, facts: ConfigFacts): string =>
    config.workDirectory ?? join(facts.stateDirectory, facts.project, facts.stack);

/** What single values cannot show: settings that contradict each other, or that need another one. */
function conflicts(
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

/** Rows go from server to server only where there are two of them. */
const hasServers = ({ source, target }: PlainConfig): boolean =>
    source.kind === "selfHosted" && target.kind === "local";

const copyOf = (config: PlainConfig): MigrationConfig["copy"] =>
    config.copy ?? (hasServers(config) ? "direct" : "archive");

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
    if (config.copyRateLimit > 0 && copyOf(config) === "archive")
        problems.push(
            invalidValue(["copyRateLimit"], config.copyRateLimit, "not set: it is the limit of a direct copy", locate),
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

function normalised(config: PlainConfig, secrets: ReadonlySet<SecretKey>, facts: ConfigFacts): MigrationConfig {
    const { serverName, rehearsal, protect, run, target, copyJobs, copyRateLimit, safeguardHours } = config;
    const { remoteMedia, publicBaseUrl, acknowledge } = config;
    const work = workDirectory(config, facts);
    const canaryBaseUrl = config.canaryBaseUrl ?? publicBaseUrl;
    return {
        serverName,
        phase: declaredPhase(config),
        rehearsal,
        disposable: config.disposable || rehearsal,
        protect,
        run,
        source: { ...config.source, serverName },
        target,
        copy: copyOf(config),
        verify: config.verify ?? "quick",
        replicationAddress: config.replicationAddress,
        copyJobs: copyJobs === 0 ? undefined : copyJobs,
        copyRateLimit: copyRateLimit === 0 ? undefined : copyRateLimit,
        safeguardHours,
        remoteMedia,
        acknowledge,
        workDirectory: work,
        reportDirectory: config.reportDirectory ?? join(work, "reports"),
        publicBaseUrl,
        ...(config.canaryUser === undefined ? {} : { canary: { user: config.canaryUser, baseUrl: canaryBaseUrl } }),
        secrets,
    };
}

function within(path: string, directory: string): boolean {
    const way = relative(directory, path);
    return way === "" || (!way.startsWith("..") && !isAbsolute(way));
}

function plaintextSecret(key: SecretKey, { project }: ConfigFacts, locate: Locate): MigrationError {
    return new MigrationError("SM-E0222", {
        where: locate([key]),
        found: "a value that is not encrypted",
        expected: `secure: …`,
        fix: `pulumi config set --secret ${project}:${key}; make a new one if the file has been shared`,
    });
}
