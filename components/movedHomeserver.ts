/** How database and media get to the target, up to what is verified there: from a homeserver that runs, or out of files. */
import type * as pulumi from "@pulumi/pulumi";
import type { BundleSource, HandedMedia, MediaRepoTarget, SelfHostedSource } from "../steps/contract.ts";
import type { MigrationConfig } from "./config.ts";
import type { Database, Safeguarded } from "./database.ts";
import { handMedia } from "./handedMedia.ts";
import type { MediaRepository } from "./mediaRepository.ts";
import { SourceHomeserver } from "./sourceHomeserver.ts";
import type { MigrationSecrets } from "./stackConfig.ts";
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
    readonly safeguard: Safeguarded;
    readonly restored: pulumi.Output<{ incoming: string; oneTimeKeys: "kept" | "emptied" }>;
    /** Of the target's store; absent where the media are handed over. */
    readonly mediaTreeDigest: pulumi.Output<string> | undefined;
    readonly handedMedia: pulumi.Output<HandedMedia> | undefined;
    /** Rows that came with the media of a bundle. */
    readonly mediaRowsAdded?: pulumi.Output<number> | undefined;
}

/** Stops the source, unless this is a rehearsal; dumps it, restores the dump, copies what is new among the media. */
export function moveRunning(source: SelfHostedSource, args: MoveArgs): MovedHomeserver {
    const { config, steps, parent, clientDirectory } = args;
    const from = new SourceHomeserver("source", { steps, source }, { parent });
    const { canaryPassword } = args.secrets;
    const canary =
        config.canary?.baseUrl === undefined || canaryPassword === undefined
            ? undefined
            : from.leaveCanary({ user: config.canary.user, baseUrl: config.canary.baseUrl }, canaryPassword);
    const fence = config.rehearsal ? undefined : from.fence(canary);
    const fenceToken = fence?.result.token;
    const dump = from.dump(fenceToken, canary, { jobs: config.copyJobs, clientDirectory });
    const { mediaRepo } = args;
    const media = mediaRepo === undefined ? args.media.finalPass(source, fenceToken, dump) : undefined;
    const after = fenceToken === undefined ? [dump] : [];
    const handedMedia =
        mediaRepo === undefined ? undefined : handMedia({ ...args, source, mediaRepo, fenceToken, after });
    const safeguard = args.database.safeguard(dump, config.copyJobs);
    const restored = args.database.restore(dump, fenceToken, safeguard, config.copyJobs);
    return {
        fenceToken,
        canaryFile: canary?.result.canaryFile,
        manifest: dump.result,
        safeguard,
        restored: restored.result,
        mediaTreeDigest: media?.result.treeDigest,
        handedMedia,
    };
}

/** Reads the bundle's dump into a database, then its media into the store: media of some kinds bring rows of their own. */
export function moveBundle(source: BundleSource, args: MoveArgs): MovedHomeserver {
    const { config, database, python: targetPython, verifyKeys } = args;
    const { passphrase, secretKey } = args.secrets;
    const safeguard = database.safeguard(undefined, config.copyJobs);
    const imported = database.import(source, safeguard, {
        jobs: config.copyJobs,
        passphrase,
        secretKey,
        targetPython,
        verifyKeys,
    });
    const keys = { passphrase, secretKey };
    const { mediaRepo } = args;
    const loaded = { database: database.connection, incoming: imported.result.incoming };
    const handedMedia = mediaRepo === undefined ? undefined : handMedia({ ...args, source, mediaRepo, loaded });
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
