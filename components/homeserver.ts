/** The target's Synapse. */
import * as pulumi from "@pulumi/pulumi";
import type { z } from "zod";
import {
    clearTracesContract,
    configureContract,
    probeContract,
    purgeRemoteMediaContract,
    startContract,
    type MediaStorageProvider,
    type MediaRepoTarget,
    type SelfHostedSource,
    type Source,
    type TargetDatabase,
} from "../contract/index.ts";
import type { MigrationStep } from "./migrationStep.ts";
import type { StepSequence } from "./stepSequence.ts";
import type { HomeserverLayout } from "./targets/target.ts";

/** What {@link Homeserver} needs. */
export interface HomeserverArgs {
    readonly steps: StepSequence;
    readonly source: Source;
    readonly layout: Pick<HomeserverLayout, "directory" | "python" | "listener">;
    readonly database: pulumi.Input<TargetDatabase>;
    readonly mediaStore: pulumi.Input<string>;
    /** What it has besides its store; see `target.mediaStorageProvider`. */
    readonly mediaStorageProvider?: pulumi.Input<MediaStorageProvider> | undefined;
    readonly signingKeyFile: pulumi.Input<string>;
    readonly secretsFile: pulumi.Input<string>;
    readonly verifyKeys: pulumi.Input<Record<string, string>>;
    /** Serves media instead of Synapse. */
    readonly mediaRepo?: MediaRepoTarget | undefined;
    /** It is not started here: it becomes one that is installed, which is asked in its place. */
    readonly deployment?: SelfHostedSource | undefined;
    /** Cuts a rehearsal's target off from other servers, push gateways, mail and application services. */
    readonly isolated: boolean;
}

/** What {@link Homeserver.start} comes after. The step looks at the fence once more; the other two only make the order. */
export interface StartsAfter {
    /** Absent in a rehearsal, whose target is isolated. */
    readonly fenceToken: pulumi.Output<string> | undefined;
    /** Of the verification. */
    readonly proof: pulumi.Output<string>;
    readonly swappedAt: pulumi.Output<string>;
}

/** A test account that left things behind on the source. */
export interface CanaryEvidence {
    readonly canaryFile: pulumi.Output<string> | undefined;
    readonly canaryUser: string | undefined;
    readonly canaryPassword: pulumi.Output<string> | undefined;
}

/** Declared in phase `stage` as a configuration that nothing runs with; started and probed in phase `migrate`. */
export class Homeserver extends pulumi.ComponentResource {
    /** Of Synapse itself, behind the gateway. */
    public readonly baseUrl: pulumi.Output<string>;
    readonly #args: HomeserverArgs;
    readonly #configured: MigrationStep<
        z.infer<typeof configureContract.spec>,
        z.infer<typeof configureContract.result>
    >;

    constructor(name: string, args: HomeserverArgs, opts?: pulumi.ComponentResourceOptions) {
        const { steps, source, layout, database, mediaStore, mediaStorageProvider, isolated } = args;
        const { signingKeyFile, secretsFile } = args;
        super("synapse-migration:index:Homeserver", name, { serverName: source.serverName, isolated }, opts);
        this.#args = args;
        this.#configured = steps.add(
            configureContract,
            {
                run: steps.run,
                source,
                targetDirectory: layout.directory,
                database,
                mediaStore,
                mediaStorageProvider,
                signingKeyFile,
                secretsFile,
                listener: layout.listener,
                mediaServer: args.mediaRepo === undefined ? undefined : ("external" as const),
                isolated,
            },
            { parent: this },
        );
        this.baseUrl = this.#configured.result.baseUrl;
        this.registerOutputs({ baseUrl: this.baseUrl, notCarried: this.#configured.result.notCarried });
    }

    /** Starts it behind the closed gateway. */
    public start(after: StartsAfter) {
        const { steps, source, layout, signingKeyFile, verifyKeys, database } = this.#args;
        const { configFiles, pidFile, logFile, baseUrl } = this.#configured.result;
        return steps.add(
            startContract,
            {
                run: steps.run,
                source,
                ...after,
                python: layout.python,
                configFiles,
                signingKeyFile,
                verifyKeys,
                pidFile,
                logFile,
                baseUrl,
                database,
            },
            { parent: this },
        );
    }

    /**
     * Asks it for what only the same server can answer.
     *
     * @param acceptsMissingMedia  see config `acceptMissingMedia`
     */
    public probe(
        started: { readonly baseUrl: pulumi.Output<string>; readonly startedAt: pulumi.Output<string> },
        canary: CanaryEvidence & { readonly pepper: pulumi.Output<string> | undefined },
        acceptsMissingMedia: boolean,
    ) {
        const { steps, source, verifyKeys, mediaRepo, database } = this.#args;
        // Without a test account there is nobody to look for it.
        const known =
            source.kind === "selfHosted" || canary.canaryUser === undefined
                ? undefined
                : pulumi.output(database).apply((one) => ({
                      database: one,
                      mayLackMedia: acceptsMissingMedia || source.media === undefined,
                  }));
        const { baseUrl, startedAt } = started;
        const mediaServer = mediaRepo === undefined ? undefined : { baseUrl: mediaRepo.baseUrl };
        const asked = { serverName: source.serverName, baseUrl, mediaServer, startedAt, verifyKeys, known };
        const spec = { run: steps.run, deployment: this.#args.deployment, ...asked, ...canary };
        return steps.add(probeContract, spec, { parent: this });
    }

    /** Has it forget cached media of other servers that did not come along. */
    public purgeRemoteMedia(
        started: { readonly startedAt: pulumi.Output<string>; readonly baseUrl: pulumi.Output<string> },
        canary: CanaryEvidence,
    ): void {
        const { steps, source, database, mediaStore, mediaRepo, deployment } = this.#args;
        // matrix-media-repo serves the media then, and Synapse runs with `enable_media_repo: false`: it serves none from its cache,
        // and has no admin API that cleans the cache up.
        if (mediaRepo !== undefined) return;
        const { baseUrl, startedAt } = started;
        const place = { run: steps.run, deployment, serverName: source.serverName, database, mediaStore };
        steps.add(purgeRemoteMediaContract, { ...place, baseUrl, startedAt, ...canary }, { parent: this });
    }
    /**
     * Has it forget the test account's rooms, media, guest and sessions.
     *
     * @param phase  what could not be removed is tried again in another one
     */
    public clearTraces(openedAt: pulumi.Output<string>, canaryUser: string, phase: string) {
        const { steps, source, database, deployment } = this.#args;
        const spec = { run: steps.run, deployment, serverName: source.serverName, database, openedAt, canaryUser };
        const place = { parent: this, lookAgainWhen: [phase] };
        return steps.add(clearTracesContract, { ...spec, baseUrl: this.baseUrl }, place);
    }
}
