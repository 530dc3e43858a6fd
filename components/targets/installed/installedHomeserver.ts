/** A homeserver that an installer has made: it is not made here, and becomes another one. */
import * as pulumi from "@pulumi/pulumi";
import {
    identityContract,
    openInstalledContract,
    placeMediaContract,
    placeMediaEarlyContract,
    startInstalledContract,
    vacateContract,
    type SelfHostedSource,
    type Source,
    type TargetDatabase,
} from "../../../contract/index.ts";
import type { StartsAfter } from "../../homeserver.ts";
import type { EarlierStep } from "../../migrationStep.ts";
import type { StepSequence } from "../../stepSequence.ts";

/** What {@link InstalledHomeserver} needs. */
export interface InstalledHomeserverArgs {
    readonly steps: StepSequence;
    readonly source: Source;
    /** Described as a source is. */
    readonly deployment: SelfHostedSource;
    readonly database: pulumi.Input<TargetDatabase>;
    /** The store here, which is sent. */
    readonly mediaStore: pulumi.Input<string>;
    /** What has filled it already; absent where media come as files. */
    readonly early: EarlierStep | undefined;
    readonly signingKeyFile: pulumi.Input<string>;
    readonly secretsFile: pulumi.Input<string>;
    readonly verifyKeys: pulumi.Input<Record<string, string>>;
}

/** What {@link InstalledHomeserver.start} comes after, besides what it does itself. */
export interface StartsInstalledAfter extends StartsAfter {
    /** Of the store here. */
    readonly mediaTreeDigest: pulumi.Output<string> | undefined;
}

/**
 * In phase `stage` media are sent to it while it still runs; in phase `migrate` it is stopped, gets what makes it the homeserver that was moved,
 * and is started where clients do not find it; in phase `cutover` it is opened. Deleting its steps gives back what the installer had made.
 */
export class InstalledHomeserver extends pulumi.ComponentResource {
    readonly #args: InstalledHomeserverArgs;
    #vacatedAt: pulumi.Output<string> | undefined;

    constructor(name: string, args: InstalledHomeserverArgs, opts?: pulumi.ComponentResourceOptions) {
        const { steps, deployment, early, mediaStore } = args;
        const { serverName, service } = deployment;
        super("synapse-migration:index:InstalledHomeserver", name, { serverName, service: service.kind }, opts);
        this.#args = args;
        if (early !== undefined)
            steps.add(
                placeMediaEarlyContract,
                { run: steps.run, deployment, mediaStore },
                { parent: this, after: [early] },
            );
        this.registerOutputs({});
    }

    /** Stops it, before anything else of the phase. */
    public vacate(): void {
        const { steps, deployment } = this.#args;
        const place = { parent: this };
        this.#vacatedAt = steps.addFirst(vacateContract, { run: steps.run, deployment }, place).result.vacatedAt;
    }

    /** Gives it media and identity, and starts it where clients do not find it. */
    public start({ mediaTreeDigest, ...after }: StartsInstalledAfter) {
        const { steps, source, deployment, database, mediaStore, signingKeyFile, secretsFile, verifyKeys } = this.#args;
        const { run } = steps;
        const vacatedAt = this.#vacatedAt;
        if (vacatedAt === undefined) throw new Error("the installed homeserver is started before it was stopped");
        const placed = steps.add(
            placeMediaContract,
            { run, deployment, mediaStore, treeDigest: mediaTreeDigest, after: pulumi.all([after.proof, vacatedAt]) },
            { parent: this },
        );
        const identity = { source, deployment, signingKeyFile, secretsFile, verifyKeys, vacatedAt };
        const { digest } = steps.add(identityContract, { run, ...identity }, { parent: this }).result;
        return steps.add(
            startInstalledContract,
            {
                ...{ run, source, deployment, database, verifyKeys, ...after },
                identity: digest,
                mediaBytes: placed.result.bytes,
            },
            { parent: this },
        );
    }

    /** Lets clients in, once the target is committed. */
    public open(committedAt: pulumi.Output<string>) {
        const { steps, deployment, verifyKeys } = this.#args;
        const spec = { run: steps.run, deployment, committedAt, verifyKeys };
        return steps.add(openInstalledContract, spec, { parent: this });
    }
}
