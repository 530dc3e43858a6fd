/** The media store of the target. */
import * as pulumi from "@pulumi/pulumi";
import {
    importMediaContract,
    mediaEarlyContract,
    mediaFinalContract,
    mediaStorageContract,
    type BundleSource,
    type MediaStorageProvider,
    type SelfHostedSource,
    type Source,
    type TargetDatabase,
} from "../contract/index.ts";
import type { EarlierStep } from "./migrationStep.ts";
import type { StepSequence } from "./stepSequence.ts";

const mebibyte = 1024 * 1024;

/** What opens the encrypted files of a bundle. */
interface BundleKeys {
    readonly passphrase: pulumi.Output<string> | undefined;
    readonly secretKey: pulumi.Output<string> | undefined;
}

/** A database that is not in use yet. */
export type Loaded = pulumi.Output<{ database: TargetDatabase; incoming: string }>;

/** What {@link MediaRepository} needs. */
export interface MediaRepositoryArgs {
    readonly steps: StepSequence;
    readonly source: Source;
    /** Directory of the target's media store. */
    readonly mediaStore: string;
    /** Whom the target's servers run as; see `target.user`. */
    readonly user?: string | undefined;
    /** What it has besides its store; see `target.mediaStorageProvider`. */
    readonly mediaStorageProvider?: pulumi.Input<MediaStorageProvider> | undefined;
    /** Whether media of other servers come along. Synapse fetches them again where they are dropped. */
    readonly remoteMedia: "carry" | "drop";
    /** Media without files that are accepted; see config `acceptMissingMedia`. */
    readonly acceptMissingMedia?: string | undefined;
    /** Of a source that serves, MiB a second; see config `mediaRateLimit`. */
    readonly rateLimit?: number | undefined;
    readonly protect: boolean;
    /** Media go to another repository, and none into the store. */
    readonly isHandedOver?: boolean;
}

/**
 * A directory. From a source that runs it is filled in two passes: an early one while the source still serves, and a final one that has
 * little left to copy and compares every file. From a bundle it is filled at once.
 */
export class MediaRepository extends pulumi.ComponentResource {
    public readonly mediaStore: pulumi.Output<string>;
    /** The early pass; absent where media come at once. */
    public readonly early: EarlierStep | undefined;
    readonly #args: MediaRepositoryArgs;

    constructor(name: string, args: MediaRepositoryArgs, opts?: pulumi.ComponentResourceOptions) {
        const { steps, source, mediaStore, mediaStorageProvider, remoteMedia: remoteCache, protect } = args;
        super("synapse-migration:index:MediaRepository", name, { mediaStore, remoteCache }, opts);
        this.#args = args;
        const storage = steps.add(
            mediaStorageContract,
            { run: steps.run, mediaStore, mediaStorageProvider, user: args.user },
            { parent: this, protect },
        );
        this.mediaStore = storage.result.mediaStore;
        if (source.kind === "selfHosted" && args.isHandedOver !== true) {
            const place = { mediaStore: this.mediaStore, mediaStorageProvider, remoteCache };
            const { acceptMissingMedia } = args;
            const early = { run: steps.run, source, ...place, acceptMissingMedia, ...this.#limited() };
            this.early = steps.add(mediaEarlyContract, early, { parent: this });
        }
        this.registerOutputs({ mediaStore: this.mediaStore });
    }

    /**
     * Copies what the early pass has not, and compares all.
     *
     * @param fenceToken  absent in a rehearsal, whose source goes on. Media then come after the database: what its snapshot names must
     *     be there, what was uploaded later may be
     * @param incoming  the database that the rows of an SQLite file were loaded into
     */
    public finalPass(
        source: SelfHostedSource,
        fenceToken: pulumi.Output<string> | undefined,
        database: EarlierStep,
        incoming?: Loaded,
    ) {
        const { steps, mediaStorageProvider, remoteMedia: remoteCache, acceptMissingMedia } = this.#args;
        const place = { mediaStore: this.mediaStore, mediaStorageProvider, remoteCache };
        return steps.add(
            mediaFinalContract,
            {
                ...{ run: steps.run, source, ...place, acceptMissingMedia, fenceToken, loaded: incoming },
                // Behind the fence nobody is served, and each second is one more without a homeserver.
                ...(fenceToken === undefined ? this.#limited() : {}),
            },
            { parent: this, after: fenceToken === undefined ? [database] : [] },
        );
    }

    #limited(): { readonly bytesPerSecond?: number } {
        const { rateLimit } = this.#args;
        return rateLimit === undefined ? {} : { bytesPerSecond: rateLimit * mebibyte };
    }

    /**
     * Puts the media of a bundle there.
     *
     * @param incoming  the database that their rows are in, or are added to
     */
    public import(
        source: BundleSource,
        database: pulumi.Output<TargetDatabase>,
        incoming: pulumi.Output<string>,
        keys: BundleKeys,
    ) {
        const { steps, remoteMedia: remoteCache, acceptMissingMedia } = this.#args;
        const bundle = { run: steps.run, source, ...keys };
        return steps.add(
            importMediaContract,
            { ...bundle, database, incoming, mediaStore: this.mediaStore, remoteCache, acceptMissingMedia },
            { parent: this },
        );
    }
}
