/** The route: what exists in which phase, and in what order. */
import * as pulumi from "@pulumi/pulumi";
import {
    assessContract,
    cutoverUndoContract,
    migrateUndoContract,
    stageUndoContract,
    verifyContract,
    type Phase,
} from "../contract/index.ts";
import { assessmentSpec, runReference, type Assessment } from "./assessment.ts";
import type { MigrationConfig } from "./config/parseConfig.ts";
import { reaches } from "./config/effective.ts";
import { BundleExport } from "./targets/emsBundle/bundleExport.ts";
import { Database, type Followed } from "./database.ts";
import { Gateway } from "./gateway.ts";
import { Homeserver } from "./homeserver.ts";
import { MediaRepository } from "./mediaRepository.ts";
import { mediaStorageProvider } from "./mediaStorage.ts";
import { copyOptions, moveBundle, moveRunning, type MovedHomeserver } from "./movedHomeserver.ts";
import { cleanUp, commit, report } from "./commitAndReport.ts";
import { SigningKeySecrets } from "./signingKeySecrets.ts";
import type { MigrationSecrets } from "./config/readStackConfig.ts";
import { StepSequence } from "./stepSequence.ts";
import type { EmsBundleLayout } from "./targets/emsBundle/layout.ts";
import { InstalledHomeserver } from "./targets/installed/installedHomeserver.ts";
import type { AnyTargetLayout, HomeserverLayout } from "./targets/target.ts";

/** What {@link HomeserverMigration} needs. */
export interface HomeserverMigrationArgs {
    readonly config: MigrationConfig;
    readonly secrets: MigrationSecrets;
    readonly target: AnyTargetLayout;
    /** Names the run's directories and databases; another id replaces every step. */
    readonly runId: string;
    /** `kept`: the target is committed, and may not be destroyed whole. `released`: that, and its stack may be forgotten. */
    readonly commitment: "none" | "kept" | "released";
    /** Versions of programs and plugins, for the report. */
    readonly environment: Readonly<Record<string, string>>;
}

/**
 * Moves one homeserver. Each phase includes those before it; declaring an earlier one deletes the steps after it, and so undoes
 * them, in the reverse of the order they were done in.
 *
 * Results make the order: the dump needs the fence's token, the restore the dump's manifest, the start the verification's proof.
 * What results cannot say is with {@link StepSequence}.
 */
export class HomeserverMigration extends pulumi.ComponentResource {
    public readonly assessment: pulumi.Output<Assessment>;
    /** From phase `stage` on. */
    public readonly gatewayUrl: pulumi.Output<string> | undefined;
    /** Digests of what verification and probe saw, from phase `migrate` on. */
    public readonly proofs: Readonly<Record<string, pulumi.Output<string>>>;
    /** Paths of `report.json`, `report.md` and `report.html`. */
    public readonly report: pulumi.Output<{ json: string; markdown: string; html: string }>;

    readonly #args: HomeserverMigrationArgs;
    readonly #steps: StepSequence;

    constructor(name: string, args: HomeserverMigrationArgs, opts?: pulumi.ComponentResourceOptions) {
        const { serverName, phase, source, target, rehearsal } = args.config;
        const summary = { serverName, route: `${source.kind} to ${target.kind}`, phase, rehearsal, run: args.runId };
        // Once it is committed, nothing of it may be deleted or replaced: every resource below inherits it.
        const protect = args.commitment === "kept" ? { protect: true } : {};
        super("synapse-migration:index:HomeserverMigration", name, summary, { ...protect, ...opts });
        this.#args = args;
        this.#steps = new StepSequence(runReference(args.config, args.target, args.runId), args.commitment !== "none");

        this.assessment = this.#assess();
        const reached = args.target.kind === "emsBundle" ? this.#export(args.target) : this.#migrate(args.target);
        this.gatewayUrl = reached.gatewayUrl;
        this.proofs = reached.proofs;
        this.report = report(this, this.#steps, args);
        this.registerOutputs({ report: this.report, proofs: this.proofs });
    }

    /** Into a homeserver that is started here, as far as the declared phase goes. */
    #migrate(layout: HomeserverLayout): Reached {
        const { source, phase, safeguardHours, canary } = this.#args.config;
        if (!this.#enter("stage", stageUndoContract)) return { proofs: {} };
        const target = this.#stage(layout);
        const gatewayUrl = target.gateway?.url;

        if (!this.#enter("migrate", migrateUndoContract)) return { gatewayUrl, proofs: {} };
        target.installed?.vacate();
        const moved = this.#move(target, layout);
        const { fenceToken, restored, safeguard, canaryFile, mediaTreeDigest } = moved;
        const proof = this.#verify(target, moved);
        const swapped = target.database.swap(restored.incoming, proof, safeguard);
        const after = { fenceToken, proof, swappedAt: swapped.result.swappedAt };
        const started: Started =
            target.installed?.start({ ...after, mediaTreeDigest }) ?? target.homeserver.start(after);
        const probe = this.#probe(target, started, canaryFile);
        const reached = { gatewayUrl, proofs: { verify: proof, probe } };

        if (!this.#enterCutover()) return reached;
        const database = target.database.connection;
        const committed = commit(this, this.#steps, { database, probe, fenceToken, source });
        const { committedAt } = committed.result;
        const opened = this.#open(target, committedAt);
        const { openedAt } = opened;
        const cleared = canary === undefined ? undefined : target.homeserver.clearTraces(openedAt, canary.user, phase);

        if (!reaches(phase, "finish")) return { ...reached, gatewayUrl: opened.url };
        const { directory, mediaStore } = layout;
        const workplace = layout.kind === "installed" ? { directory, mediaStore } : undefined;
        const kept = { database, openedAt, swapped, copy: safeguard.copy, safeguardHours, workplace };
        cleanUp(this, this.#steps, { ...kept, after: [cleared] });
        return { ...reached, gatewayUrl: opened.url };
    }

    /** Lets clients in. @returns when, and where they find it */
    #open({ gateway, installed, keys }: Target, committedAt: pulumi.Output<string>) {
        if (installed !== undefined) {
            const { openedAt, url } = installed.open(committedAt).result;
            return { openedAt, url };
        }
        if (gateway === undefined) throw new Error("a target that is made here has no gateway");
        return { openedAt: gateway.open(committedAt, keys.verifyKeys).result.openedAt, url: gateway.url };
    }

    /** Into files for another provider; nothing is started here. The proof is the digest of all that was compared. */
    #export(layout: EmsBundleLayout): Reached {
        const { source, phase, remoteMedia, rehearsal, protect, acceptMissingMedia } = this.#args.config;
        if (source.kind !== "selfHosted" || !this.#enter("stage", stageUndoContract)) return { proofs: {} };
        const from = { steps: this.#steps, source, layout, secrets: this.#args.secrets };
        const how = { remoteMedia, rehearsal, protect, acceptMissingMedia };
        const bundle = new BundleExport("bundle", { ...from, ...how }, { parent: this });

        if (!this.#enter("migrate", migrateUndoContract)) return { proofs: {} };
        const proven = bundle.export();
        const reached = { proofs: { verify: proven.proof } };

        if (!this.#enterCutover()) return reached;
        const handedOverAt = bundle.handOver(proven);
        if (reaches(phase, "finish")) bundle.clear(handedOverAt);
        return reached;
    }

    /** Begins a phase, if the declared phase includes it. */
    #enter(phase: Phase, undo: typeof stageUndoContract): boolean {
        const { config } = this.#args;
        if (!reaches(config.phase, phase)) return false;
        this.#steps.enter(undo, config.serverName, this);
        return true;
    }

    /** What comes now is protected from its creation on, so that `pulumi destroy` is refused as a whole, unless it may be thrown away. */
    #enterCutover(): boolean {
        const { config, commitment } = this.#args;
        if (!this.#enter("cutover", cutoverUndoContract)) return false;
        if (!config.disposable && commitment !== "released") this.#steps.protectFromHere();
        return true;
    }

    /** All checks, not only the quick ones; from phase `stage` on, findings that block fail here, before anything is made. */
    #assess(): pulumi.Output<Assessment> {
        const { config, secrets, target, runId } = this.#args;
        const enforce = reaches(config.phase, "stage");
        const spec = assessmentSpec(config, secrets, target, runId, { quick: false, enforce });
        return this.#steps.add(assessContract, spec, { parent: this, lookAgainWhen: [`enforce ${enforce}`] }).result;
    }

    #parts() {
        const { source, serverName, protect } = this.#args.config;
        return { steps: this.#steps, source, serverName, protect };
    }

    /** Secrets, empty database, media storage, configuration, and the closed gateway. */
    #stage(target: HomeserverLayout): Target {
        const { config, secrets } = this.#args;
        const [parts, child] = [this.#parts(), { parent: this }];
        const { signingKey, pepper, macaroonSecretKey } = secrets;
        // The configuration's rules have seen to it that it is set from this phase on.
        if (signingKey === undefined) throw new Error("the signing key is missing");
        const { directory: targetDirectory, user } = target;
        const identity = { signingKey, pepper, macaroonSecretKey, targetDirectory, user };
        const provided = { mediaStorageProvider: mediaStorageProvider(target.mediaStorageProvider, secrets) };
        const keys = new SigningKeySecrets("signing-keys", { ...parts, ...identity, ...provided }, child);
        const database = new Database("database", { ...parts, layout: target.database, user }, child);
        const { mediaRepo } = target;
        const isHandedOver = mediaRepo !== undefined;
        const { remoteMedia, acceptMissingMedia, mediaRateLimit: rateLimit } = config;
        const storage = {
            mediaStore: target.mediaStore,
            user,
            remoteMedia,
            acceptMissingMedia,
            isHandedOver,
            rateLimit,
        };
        const { source, replicationAddress: replication } = config;
        const followed =
            config.copy === "replicate" && source.kind === "selfHosted"
                ? database.follow(source, { ...copyOptions(config), replication })
                : undefined;
        const media = new MediaRepository("media", { ...parts, ...storage, ...provided }, child);
        const homeserver = new Homeserver(
            "homeserver",
            {
                ...parts,
                layout: target,
                database: database.connection,
                mediaStore: media.mediaStore,
                ...provided,
                signingKeyFile: keys.signingKeyFile,
                secretsFile: keys.secretsFile,
                verifyKeys: keys.verifyKeys,
                mediaRepo,
                deployment: target.kind === "installed" ? target.deployment : undefined,
                isolated: config.rehearsal,
            },
            child,
        );
        const made = { keys, database, followed, media, homeserver, ...provided };
        if (target.kind === "installed") {
            const { deployment } = target;
            const { mediaStore, early } = media;
            const { signingKeyFile, secretsFile, verifyKeys } = keys;
            const become = { signingKeyFile, secretsFile, verifyKeys, database: database.connection };
            const args = { steps: this.#steps, source, deployment, mediaStore, early, ...become };
            return { ...made, installed: new InstalledHomeserver("installed", args, child) };
        }
        const upstreams = { upstream: homeserver.baseUrl, mediaUpstream: mediaRepo?.baseUrl };
        const reached = { layout: target.gateway, ...upstreams, publicBaseUrl: config.publicBaseUrl };
        const gateway = new Gateway("gateway", { ...parts, ...reached }, child);
        return { ...made, gateway };
    }

    #move(
        { database, followed, media, keys: { verifyKeys } }: Target,
        { clientDirectory, python, mediaRepo }: HomeserverLayout,
    ): MovedHomeserver {
        const { config, secrets } = this.#args;
        const [steps, parent] = [this.#steps, this];
        const parts = { database, followed, media, mediaRepo, clientDirectory, python, verifyKeys };
        const args = { parent, steps, config, secrets, ...parts };
        return config.source.kind === "selfHosted" ? moveRunning(config.source, args) : moveBundle(config.source, args);
    }

    /** @returns the digest of all that was compared */
    #verify({ keys, database, media, mediaStorageProvider }: Target, moved: MovedHomeserver): pulumi.Output<string> {
        const { source, remoteMedia, acceptMissingMedia } = this.#args.config;
        const { manifestFile, manifestDigest } = moved.manifest;
        const { incoming, oneTimeKeys } = moved.restored;
        const spec = {
            run: this.#steps.run,
            source,
            database: database.connection,
            incoming,
            manifestFile,
            manifestDigest,
            replicated: moved.replicated,
            imported: moved.imported,
            oneTimeKeys,
            mediaStore: media.mediaStore,
            mediaTreeDigest: moved.mediaTreeDigest,
            handedMedia: moved.handedMedia,
            mediaStorageProvider,
            acceptMissingMedia,
            mediaRowsAdded: moved.mediaRowsAdded,
            signingKeyFile: keys.signingKeyFile,
            secretsFile: keys.secretsFile,
            remoteCache: remoteMedia,
        };
        return this.#steps.add(verifyContract, spec, { parent: this }).result.proof;
    }

    /** Also has it forget cached media of other servers that did not come along. @returns the digest of all that it answered */
    #probe({ homeserver }: Target, started: Started, canaryFile: MovedHomeserver["canaryFile"]): pulumi.Output<string> {
        const { pepper, canaryPassword } = this.#args.secrets;
        const { canary, remoteMedia, acceptMissingMedia } = this.#args.config;
        const account = { canaryFile, canaryUser: canary?.user, canaryPassword };
        if (remoteMedia === "drop") homeserver.purgeRemoteMedia(started.result, account);
        const acceptsMissing = acceptMissingMedia !== undefined;
        return homeserver.probe(started.result, { pepper, ...account }, acceptsMissing).result.proof;
    }
}

/** What the declared phase came to. */
interface Reached {
    readonly gatewayUrl?: pulumi.Output<string> | undefined;
    readonly proofs: Readonly<Record<string, pulumi.Output<string>>>;
}

/** What phase `stage` makes. */
interface Target {
    readonly keys: SigningKeySecrets;
    readonly database: Database;
    /** With `copy: replicate`. */
    readonly followed: Followed | undefined;
    readonly media: MediaRepository;
    readonly mediaStorageProvider: ReturnType<typeof mediaStorageProvider>;
    readonly homeserver: Homeserver;
    /** Of one that is started here. */
    readonly gateway?: Gateway;
    /** Of one that is installed. */
    readonly installed?: InstalledHomeserver;
}
type Started = ReturnType<Homeserver["start"]> | ReturnType<InstalledHomeserver["start"]>;
