/** The media store of the target. */
import * as pulumi from "@pulumi/pulumi";
import { mediaEarlyContract, mediaFinalContract, mediaStorageContract, type Source } from "../steps/contract.ts";
import type { EarlierStep } from "./migrationStep.ts";
import type { StepSequence } from "./stepSequence.ts";

/** What {@link MediaRepository} needs. */
export interface MediaRepositoryArgs {
    readonly steps: StepSequence;
    readonly source: Source;
    /** Directory of the target's media store. */
    readonly mediaStore: string;
    /** Whether media of other servers come along. Synapse fetches them again where they are dropped. */
    readonly remoteMedia: "carry" | "drop";
    readonly protect: boolean;
}

/**
 * A directory, filled in two passes: an early one while the source still serves, and a final one that has little left to copy
 * and compares every file.
 */
export class MediaRepository extends pulumi.ComponentResource {
    public readonly mediaStore: pulumi.Output<string>;
    readonly #args: MediaRepositoryArgs;

    constructor(name: string, args: MediaRepositoryArgs, opts?: pulumi.ComponentResourceOptions) {
        const { steps, source, mediaStore, remoteMedia: remoteCache, protect } = args;
        super("synapse-migration:index:MediaRepository", name, { mediaStore, remoteCache }, opts);
        this.#args = args;
        const storage = steps.add(mediaStorageContract, { run: steps.run, mediaStore }, { parent: this, protect });
        this.mediaStore = storage.result.mediaStore;
        const early = { run: steps.run, source, mediaStore: this.mediaStore, remoteCache };
        steps.add(mediaEarlyContract, early, { parent: this });
        this.registerOutputs({ mediaStore: this.mediaStore });
    }

    /**
     * Copies what the early pass has not, and compares all.
     *
     * @param fenceToken  absent in a rehearsal, whose source goes on. Media then come after the dump: what the snapshot names must
     *     be there, what was uploaded later may be
     */
    public finalPass(fenceToken: pulumi.Output<string> | undefined, dump: EarlierStep) {
        const { steps, source, remoteMedia: remoteCache } = this.#args;
        return steps.add(
            mediaFinalContract,
            { run: steps.run, source, mediaStore: this.mediaStore, remoteCache, fenceToken },
            { parent: this, after: fenceToken === undefined ? [dump] : [] },
        );
    }
}
