/** The homeserver that is left: what is asked of it, and how it is stopped. */
import * as pulumi from "@pulumi/pulumi";
import {
    canaryContract,
    dumpContract,
    fenceContract,
    takeFileContract,
    type FenceTarget,
    type SelfHostedSource,
} from "../contract/index.ts";
import type { EarlierStep } from "./migrationStep.ts";
import type { StepSequence } from "./stepSequence.ts";

/** What {@link SourceHomeserver} needs. */
export interface SourceHomeserverArgs {
    readonly steps: StepSequence;
    readonly source: SelfHostedSource;
}

/** Nothing of it is made or deleted: deleting its steps serves clients again, until the commit. */
export class SourceHomeserver extends pulumi.ComponentResource {
    readonly #args: SourceHomeserverArgs;

    constructor(name: string, args: SourceHomeserverArgs, opts?: pulumi.ComponentResourceOptions) {
        const { kind, serverName } = args.source;
        super("synapse-migration:index:SourceHomeserver", name, { kind, serverName }, opts);
        this.#args = args;
        this.registerOutputs({});
    }

    /** Has a test account leave things behind that the probe of the target looks for. */
    public leaveCanary(canary: { readonly user: string; readonly baseUrl: string }, password: pulumi.Input<string>) {
        const { steps, source } = this.#args;
        return steps.add(canaryContract, { run: steps.run, source, ...canary, password }, { parent: this });
    }

    /**
     * Stops it, and proves that it can no longer write.
     *
     * @param target  must answer before anything is stopped
     */
    public fence(target: pulumi.Output<FenceTarget>, ...after: readonly (EarlierStep | undefined)[]) {
        const { steps, source } = this.#args;
        return steps.add(fenceContract, { run: steps.run, source, target }, { parent: this, after });
    }

    /**
     * Dumps its database out of one snapshot.
     *
     * @param fenceToken  absent in a rehearsal, whose source goes on
     * @param jobs  processes that dump at the same time
     */
    public dump(
        fenceToken: pulumi.Output<string> | undefined,
        canary: EarlierStep | undefined,
        { jobs, clientDirectory }: { readonly jobs: number; readonly clientDirectory: string },
    ) {
        const { steps, source } = this.#args;
        const spec = { run: steps.run, source, fenceToken, jobs, clientDirectory };
        return steps.add(dumpContract, spec, { parent: this, after: [canary] });
    }

    /**
     * Gets the SQLite file that it keeps its rows in.
     *
     * @param fenceToken  absent in a rehearsal, whose source goes on
     * @param targetPython  of the target's Synapse
     */
    public takeFile(
        fenceToken: pulumi.Output<string> | undefined,
        after: EarlierStep | undefined,
        targetPython: string,
    ) {
        const { steps, source } = this.#args;
        const spec = { run: steps.run, source, fenceToken, targetPython };
        return steps.add(takeFileContract, spec, { parent: this, after: [after] });
    }
}
