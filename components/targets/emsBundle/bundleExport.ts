/** A homeserver on its way to another provider: the files that are handed over, and what proves them. */
import * as pulumi from "@pulumi/pulumi";
import {
    clearExportContract,
    exportConfigContract,
    exportDatabaseContract,
    exportMediaContract,
    fenceContract,
    handOverContract,
    prepareBundleContract,
    sealBundleContract,
    verifyBundleContract,
    type SelfHostedSource,
} from "../../../contract/index.ts";
import type { MigrationSecrets } from "../../config/readStackConfig.ts";
import type { StepSequence } from "../../stepSequence.ts";
import type { EmsBundleLayout } from "./layout.ts";

/** What {@link BundleExport} needs. */
export interface BundleExportArgs {
    readonly steps: StepSequence;
    readonly source: SelfHostedSource;
    readonly layout: EmsBundleLayout;
    readonly secrets: MigrationSecrets;
    /** Whether cached media of other servers come along. */
    readonly remoteMedia: "carry" | "drop";
    /** Media without files that are accepted; see config `acceptMissingMedia`. */
    readonly acceptMissingMedia?: string | undefined;
    /** From a snapshot of the source, which goes on. */
    readonly rehearsal: boolean;
    /** Pulumi refuses to delete the bundle. */
    readonly protect: boolean;
}

/** A bundle that was read again to its end. */
export interface ProvenBundle {
    /** Absent in a rehearsal. */
    readonly fenceToken: pulumi.Output<string> | undefined;
    readonly manifestDigest: pulumi.Output<string>;
    readonly proof: pulumi.Output<string>;
}

/**
 * Declared in phase `stage` as a directory that is empty; filled in phase `migrate` from the fenced source; handed over in phase `cutover`.
 * Going back before that removes it, and starts the source again.
 */
export class BundleExport extends pulumi.ComponentResource {
    public readonly directory: pulumi.Output<string>;
    readonly #args: BundleExportArgs;
    readonly #verifyKeys: pulumi.Output<Record<string, string>>;

    constructor(name: string, args: BundleExportArgs, opts?: pulumi.ComponentResourceOptions) {
        const { steps, source, layout, secrets, protect } = args;
        const { signingKey, pepper, macaroonSecretKey, passphrase } = secrets;
        const { directory, bundle, clientDirectory } = layout;
        super("synapse-migration:index:BundleExport", name, { serverName: source.serverName, directory }, opts);
        this.#args = args;
        // The configuration's rules have seen to it that it is set from this phase on.
        if (signingKey === undefined) throw new Error("the signing key is missing");
        const identity = { signingKey, pepper, macaroonSecretKey };
        const { result } = steps.add(
            prepareBundleContract,
            { run: steps.run, source, bundle, passphrase, clientDirectory, ...identity },
            { parent: this, protect },
        );
        this.directory = result.directory;
        this.#verifyKeys = result.verifyKeys;
        this.registerOutputs({ directory: this.directory, verifyKeys: this.#verifyKeys });
    }

    /** Stops the source, unless this is a rehearsal; exports database, media and configuration; reads all of it again. */
    public export(): ProvenBundle {
        const { steps, source, layout, secrets, remoteMedia: remoteCache, rehearsal, acceptMissingMedia } = this.#args;
        const { bundle, clientDirectory, format } = layout;
        const { run } = steps;
        const { passphrase } = secrets;
        const place = { parent: this };
        const fence = rehearsal ? undefined : steps.add(fenceContract, { run, source }, place).result;
        const fenceToken = fence?.token;
        const spec = { run, source, fenceToken, bundle, passphrase };
        const database = steps.add(exportDatabaseContract, { ...spec, clientDirectory, format }, place);
        // Of a source that goes on, all media that the dump names must be there: later ones may be, too.
        const after = rehearsal ? [database] : [];
        const media = steps.add(exportMediaContract, { ...spec, remoteCache, acceptMissingMedia }, { ...place, after });
        const configuration = steps.add(exportConfigContract, spec, place);
        const { manifestDigest } = steps.add(
            sealBundleContract,
            {
                ...{ run, serverName: source.serverName, bundle, verifyKeys: this.#verifyKeys },
                fencedAt: fence?.fencedAt,
                database: sectionOf(database.result),
                media: sectionOf(media.result),
                configuration: sectionOf(configuration.result),
            },
            place,
        ).result;
        const verified = steps.add(verifyBundleContract, { run, bundle, passphrase, manifestDigest }, place);
        return { fenceToken, manifestDigest, proof: verified.result.proof };
    }

    /** From here on the source must never serve again. */
    public handOver(bundle: ProvenBundle): pulumi.Output<string> {
        const { steps, source, layout } = this.#args;
        const spec = { run: steps.run, source, bundle: layout.bundle, ...bundle };
        return steps.add(handOverContract, spec, { parent: this }).result.handedOverAt;
    }

    /** Removes the working files; the bundle stays. */
    public clear(handedOverAt: pulumi.Output<string>): void {
        const { steps } = this.#args;
        steps.add(clearExportContract, { run: steps.run, handedOverAt }, { parent: this });
    }
}

function sectionOf(result: pulumi.Output<{ sectionFile: string; sectionDigest: string }>) {
    return result.apply(({ sectionFile, sectionDigest }) => ({ sectionFile, sectionDigest }));
}
