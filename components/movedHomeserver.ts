/** How database and media get to the target, up to what is verified there: from a homeserver that runs, or out of files. */
import * as pulumi from "@pulumi/pulumi";
import type { BundleSource, HandedMedia, MediaRepoTarget, SelfHostedSource } from "../contract/index.ts";
import type { MigrationConfig } from "./config/parseConfig.ts";
import type { CopyOptions, Database, Followed, ImportOptions, Safeguarded } from "./database.ts";
import { handMedia } from "./handedMedia.ts";
import type { Loaded, MediaRepository } from "./mediaRepository.ts";
import type { EarlierStep } from "./migrationStep.ts";
import { SourceHomeserver } from "./sourceHomeserver.ts";
import type { MigrationSecrets } from "./config/readStackConfig.ts";
import type { StepSequence } from "./stepSequence.ts";

/** What is moved to, and by what rules. */
export interface MoveArgs {
    readonly parent: pulumi.Resource;
    readonly steps: StepSequence;
    readonly config: MigrationConfig;
    readonly secrets: MigrationSecrets;
    readonly database: Database;
    readonly media: MediaRepository;
    /** Gets the media instead, where there is one. */
    readonly mediaRepo: MediaRepoTarget | undefined;
    /** Directory of the PostgreSQL client programs. */
    readonly clientDirectory: string;
    /** Python of the target's Synapse. */
    readonly python: string;
    /** The copy that follows the source, with `copy: replicate`. */
    readonly followed: Followed | undefined;
    /** Public halves of the target's signing keys. */
    readonly verifyKeys: pulumi.Output<Record<string, string>>;
}

/** What the later steps need to know of it. */
export interface MovedHomeserver {
    /** Absent where the source goes on, or is not there to be stopped. */
    readonly fenceToken: pulumi.Output<string> | undefined;
    /** What a test account left on the source. */
    readonly canaryFile: pulumi.Output<string> | undefined;
    /** Of all that was to be moved. */
    readonly manifest: pulumi.Output<{ manifestFile: string; manifestDigest: string }>;
    /** The manifest is that of a catch-up. */
    readonly replicated?: true;
    /** The manifest is that of an import, of a source that can be stopped. */
    readonly imported?: true;
    readonly safeguard: Safeguarded;
    readonly restored: pulumi.Output<{ incoming: string; oneTimeKeys: "kept" | "emptied" }>;
    /** Of the target's store; absent where the media are handed over. */
    readonly mediaTreeDigest: pulumi.Output<string> | undefined;
    readonly handedMedia: pulumi.Output<HandedMedia> | undefined;
    /** Rows that came with the media of a bundle. */
    readonly mediaRowsAdded?: pulumi.Output<number> | undefined;
}

/** Processes that work on an archive at the same time. */
const archiveJobs = 2;
const mebibyte = 1024 * 1024;

/** Stops the source, unless this is a rehearsal; gets its database across, copies what is new among the media. */
export function moveRunning(source: SelfHostedSource, args: MoveArgs): MovedHomeserver {
    const { config, steps, parent, clientDirectory, followed } = args;
    const from = new SourceHomeserver("source", { steps, source }, { parent });
    const canary = leaveCanary(from, args);
    if (followed !== undefined) return catchUpWith(followed, source, from, canary, args);
    const fence = config.rehearsal ? undefined : from.fence(args.database.successor, canary);
    const fenceToken = fence?.result.token;
    const jobs = config.copyJobs ?? archiveJobs;
    const left = { fenceToken, canaryFile: canary?.result.canaryFile };
    if (config.copy === "port") return { ...left, ...portFile(source, from, fence ?? canary, fenceToken, args) };
    if (config.copy === "direct") {
        const safeguard = args.database.safeguard(fence ?? canary, jobs);
        const { resource, result } = args.database.copy(source, fenceToken, safeguard, copyOptions(config), canary);
        const media = moveMedia(source, fenceToken, { resource, result }, args);
        return { ...left, manifest: result, safeguard, restored: result, ...media };
    }
    const dump = from.dump(fenceToken, canary, { jobs, clientDirectory });
    const media = moveMedia(source, fenceToken, dump, args);
    const safeguard = args.database.safeguard(dump, jobs);
    const restored = args.database.restore(dump, fenceToken, safeguard, jobs);
    return { ...left, manifest: dump.result, safeguard, restored: restored.result, ...media };
}

/** Has Synapse's own script carry the rows of an SQLite file over, once nobody writes to it. */
function portFile(
    source: SelfHostedSource,
    from: SourceHomeserver,
    after: EarlierStep | undefined,
    fenceToken: pulumi.Output<string> | undefined,
    args: MoveArgs,
): Omit<MovedHomeserver, "fenceToken" | "canaryFile"> {
    const { config, database } = args;
    const taken = from.takeFile(fenceToken, after, args.python);
    const safeguard = database.safeguard(taken, config.copyJobs ?? archiveJobs);
    const { serverName } = source;
    const file = taken.result.file.apply((path) => ({
        ...{ kind: "sqlite" as const, serverName, database: [path] },
        // One-time keys are kept only where the source gives none of them away any more.
        ...(fenceToken === undefined ? {} : { stoppedBeforeExport: true }),
    }));
    const imported = database.import(file, safeguard, importOptions(args, {}));
    const { incoming } = imported.result;
    const loaded = pulumi.all([database.connection, incoming]).apply(([connection, name]) => ({
        database: connection,
        incoming: name,
    }));
    return {
        manifest: imported.result,
        imported: true,
        safeguard,
        restored: imported.result,
        ...moveMedia(source, fenceToken, imported, args, loaded),
    };
}

/**
 * Of a running homeserver: into the target's store, or to matrix-media-repo.
 *
 * @param database  what took the snapshot of the source's database
 * @param loaded  where the rows are that say which media there are, if not at the source
 */
function moveMedia(
    source: SelfHostedSource,
    fenceToken: pulumi.Output<string> | undefined,
    database: EarlierStep,
    args: MoveArgs,
    loaded?: Loaded,
): Pick<MovedHomeserver, "mediaTreeDigest" | "handedMedia"> {
    const { media, mediaRepo } = args;
    if (mediaRepo === undefined) {
        const { treeDigest } = media.finalPass(source, fenceToken, database, loaded).result;
        return { mediaTreeDigest: treeDigest, handedMedia: undefined };
    }
    const after = fenceToken === undefined ? [database] : [];
    return {
        mediaTreeDigest: undefined,
        handedMedia: handMedia({ ...args, ...accepting(args), source, mediaRepo, fenceToken, loaded, after }),
    };
}

const accepting = ({ config: { acceptMissingMedia } }: MoveArgs) => ({ acceptMissingMedia });

/** How many connections copy rows from server to server, and at most how fast. */
export function copyOptions({ copyJobs, copyRateLimit }: MigrationConfig): CopyOptions {
    return {
        ...(copyJobs === undefined ? {} : { jobs: copyJobs }),
        ...(copyRateLimit === undefined ? {} : { bytesPerSecond: copyRateLimit * mebibyte }),
    };
}

function leaveCanary(from: SourceHomeserver, { config: { canary }, secrets: { canaryPassword } }: MoveArgs) {
    return canary?.baseUrl === undefined || canaryPassword === undefined
        ? undefined
        : from.leaveCanary({ user: canary.user, baseUrl: canary.baseUrl }, canaryPassword);
}

/** Nearly all is there: stops the source, takes over its last change, and copies what is new among the media meanwhile. */
function catchUpWith(
    followed: Followed,
    source: SelfHostedSource,
    from: SourceHomeserver,
    canary: ReturnType<typeof leaveCanary>,
    args: MoveArgs,
): MovedHomeserver {
    const { config, database } = args;
    const how = { ...copyOptions(config), replication: config.replicationAddress, verify: config.verify };
    // Before the source is stopped, as a copy of what is replaced may take long.
    const safeguard = database.safeguard(canary, config.copyJobs ?? archiveJobs);
    const settled = database.settle(source, followed, how);
    const fence = from.fence(database.successor, canary, settled, {
        resource: safeguard.resource,
        result: safeguard.previous,
    });
    const { token } = fence.result;
    const { result, resource } = database.catchUp(source, followed, token, safeguard, how);
    return {
        fenceToken: token,
        canaryFile: canary?.result.canaryFile,
        manifest: result,
        replicated: true,
        safeguard,
        restored: result,
        ...moveMedia(source, token, { resource, result }, args),
    };
}

/** Reads the bundle's dump into a database, then its media into the store: media of some kinds bring rows of their own. */
export function moveBundle(source: BundleSource, args: MoveArgs): MovedHomeserver {
    const { config, database } = args;
    const { passphrase, secretKey } = args.secrets;
    const safeguard = database.safeguard(undefined, config.copyJobs ?? archiveJobs);
    const imported = database.import(source, safeguard, importOptions(args, { passphrase, secretKey }));
    const keys = { passphrase, secretKey };
    const { mediaRepo } = args;
    const loaded = pulumi.all([database.connection, imported.result.incoming]).apply(([connection, incoming]) => ({
        database: connection,
        incoming,
    }));
    const handedMedia =
        mediaRepo === undefined ? undefined : handMedia({ ...args, ...accepting(args), source, mediaRepo, loaded });
    const media =
        mediaRepo !== undefined
            ? undefined
            : args.media.import(source, database.connection, imported.result.incoming, keys);
    return {
        fenceToken: undefined,
        canaryFile: undefined,
        manifest: imported.result,
        safeguard,
        restored: imported.result,
        mediaTreeDigest: media?.result.treeDigest,
        handedMedia,
        mediaRowsAdded: media?.result.rowsAdded,
    };
}

/** @param keys  that open the files of a bundle */
function importOptions(
    { config, python: targetPython, verifyKeys }: MoveArgs,
    keys: Pick<ImportOptions, "passphrase" | "secretKey">,
): ImportOptions {
    return {
        jobs: config.copyJobs ?? archiveJobs,
        ...keys,
        targetPython,
        verifyKeys,
        sqliteNul: config.sqliteNul,
        ...(config.foreignCode.length === 0 ? {} : { foreignCode: [...config.foreignCode] }),
    };
}
