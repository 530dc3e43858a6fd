/** Media that an installed matrix-media-repo gets instead of Synapse's store. */
import type * as pulumi from "@pulumi/pulumi";
import { handMediaContract, type HandedMedia, type MediaRepoTarget, type Source } from "../contract/index.ts";
import type { Loaded } from "./mediaRepository.ts";
import type { EarlierStep } from "./migrationStep.ts";
import type { MigrationSecrets } from "./config/readStackConfig.ts";
import type { StepSequence } from "./stepSequence.ts";

/** What {@link handMedia} needs. */
export interface HandMediaArgs {
    readonly parent: pulumi.Resource;
    readonly steps: StepSequence;
    readonly source: Source;
    readonly mediaRepo: MediaRepoTarget;
    /** Absent where the source goes on, or is not there to be stopped. */
    readonly fenceToken?: pulumi.Output<string> | undefined;
    /** Where the rows of a source that comes as files, or of an SQLite file, were loaded into. */
    readonly loaded?: Loaded | undefined;
    /** Media without files that are accepted; see config `acceptMissingMedia`. */
    readonly acceptMissingMedia?: string | undefined;
    readonly secrets: MigrationSecrets;
    /** Of a source that goes on: all media that its dump names must be there. */
    readonly after?: readonly EarlierStep[];
}

/** Declares the hand-over. @returns what proves it later on */
export function handMedia(args: HandMediaArgs): pulumi.Output<HandedMedia> {
    const { parent, steps, source, mediaRepo, fenceToken, loaded, secrets, acceptMissingMedia, after = [] } = args;
    const { passphrase, secretKey } = source.kind === "selfHosted" ? {} : secrets;
    const spec = { run: steps.run, source, mediaRepo, fenceToken, loaded, acceptMissingMedia, passphrase, secretKey };
    const { result } = steps.add(handMediaContract, spec, { parent, after });
    return result.apply(({ manifestFile, manifestDigest, config }) => ({ manifestFile, manifestDigest, config }));
}
