/** A stack's configuration, validated: pure, and with all problems reported at once. */
import { join } from "node:path";
import type { Phase, ReplicationAddress, Source } from "../../contract/index.ts";
import { MigrationError, throwAll } from "../../engine/run/errors.ts";
import { copyOf, declaredPhase, workDirectory, type ConfigFacts } from "./effective.ts";
import { decoded, kindOf, plainSchema, secretKeys, type PlainConfig, type PlainKey, type SecretKey } from "./schema.ts";
import { invalidValue, schemaProblems, unknownKey, type Locate } from "./problems.ts";
import { conflicts } from "./rules/conflicts.ts";
import type { TargetConfig } from "../targets/target.ts";

/** What a stack's configuration asks for. Holds no secret. */
export interface MigrationConfig {
    readonly serverName: string;
    /** Of the stack; what it leaves at source and target names it. */
    readonly stack: string;
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
    /**
     * How the database travels: as a dump in files, from server to server, as a copy that follows until the cut-over, or out of the SQLite file
     * of a homeserver that runs on one.
     */
    readonly copy: "archive" | "direct" | "replicate" | "port";
    /** How a target that has followed is compared while nobody is served: `strict` hashes every row of both sides. */
    readonly verify: "quick" | "strict";
    /** Where the target's PostgreSQL server finds the source's, if not where we do. */
    readonly replicationAddress?: ReplicationAddress | undefined;
    /** Processes or connections that dump, restore or copy at the same time; each step has a number of its own when absent. */
    readonly copyJobs?: number | undefined;
    /** Of a direct copy's rows, MiB a second; no limit when absent. */
    readonly copyRateLimit?: number | undefined;
    /** Of media that are read of a source that serves, MiB a second; no limit when absent. */
    readonly mediaRateLimit?: number | undefined;
    /** How long the copy of a replaced database, and the database itself, are kept at least. */
    /** What becomes of the fenced source when a step after the fence fails and running again would not mend it. */
    readonly sourceAfterFailure: "restore" | "keep";
    readonly safeguardHours: number;
    readonly remoteMedia: "carry" | "drop";
    /** Codes of warnings that block until somebody has read and accepted them. */
    readonly acknowledge: readonly string[];
    /** Code in the source's database that is not Synapse's and may move: `function public.f(integer)`. */
    readonly foreignCode: readonly string[];
    /** Of the list of media without files that the source itself lacks, and that are accepted: `<count>:<sha256>`. */
    readonly acceptMissingMedia?: string | undefined;
    /** NUL characters are taken out of texts of an SQLite database; rows that have some are refused when absent. */
    readonly sqliteNul?: "strip" | undefined;
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

const isPlainKey = (key: string): key is PlainKey => Object.hasOwn(plainSchema.shape, key);
const isSecretKey = (key: string): key is SecretKey => secretKeys.some((known) => known === key);

function normalised(config: PlainConfig, secrets: ReadonlySet<SecretKey>, facts: ConfigFacts): MigrationConfig {
    const { serverName, rehearsal, protect, run, target, copyJobs, copyRateLimit, safeguardHours } = config;
    const { mediaRateLimit, remoteMedia, publicBaseUrl, acknowledge, foreignCode, acceptMissingMedia, sqliteNul } =
        config;
    const work = workDirectory(config, facts);
    const canaryBaseUrl = config.canaryBaseUrl ?? publicBaseUrl;
    return {
        serverName,
        stack: facts.stack,
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
        mediaRateLimit: mediaRateLimit === 0 ? undefined : mediaRateLimit,
        sourceAfterFailure: config.sourceAfterFailure,
        safeguardHours,
        remoteMedia,
        acknowledge,
        foreignCode,
        acceptMissingMedia,
        sqliteNul,
        workDirectory: work,
        reportDirectory: config.reportDirectory ?? join(work, "reports"),
        publicBaseUrl,
        ...(config.canaryUser === undefined ? {} : { canary: { user: config.canaryUser, baseUrl: canaryBaseUrl } }),
        secrets,
    };
}

function plaintextSecret(key: SecretKey, { project }: ConfigFacts, locate: Locate): MigrationError {
    return new MigrationError("SM-E0222", {
        where: locate([key]),
        found: "a value that is not encrypted",
        expected: `secure: …`,
        fix: `pulumi config set --secret ${project}:${key}; make a new one if the file has been shared`,
    });
}
