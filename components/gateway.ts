/** What clients and other servers reach. */
import * as pulumi from "@pulumi/pulumi";
import { gatewayContract, openContract } from "../contract/index.ts";
import type { StepSequence } from "./stepSequence.ts";
import type { TargetLayout } from "./targets/local/layout.ts";

/** How long clients are asked to wait while the gateway is closed, seconds. */
const retryAfterSeconds = 30;

/** What {@link Gateway} needs. */
export interface GatewayArgs {
    readonly steps: StepSequence;
    readonly serverName: string;
    readonly layout: TargetLayout["gateway"];
    /** Base URL of the homeserver behind it. */
    readonly upstream: pulumi.Input<string>;
    /** Base URL of what serves media where that is not the homeserver. */
    readonly mediaUpstream?: string | undefined;
    /** What clients use; its name, certificate and well-known are checked when the gateway opens. */
    readonly publicBaseUrl?: string | undefined;
}

/** Answers 503 with `Retry-After` from phase `stage` on, and passes traffic from phase `cutover` on. */
export class Gateway extends pulumi.ComponentResource {
    public readonly url: pulumi.Output<string>;
    readonly #args: GatewayArgs;
    readonly #directory: pulumi.Output<string>;

    constructor(name: string, args: GatewayArgs, opts?: pulumi.ComponentResourceOptions) {
        const { steps, layout, upstream, mediaUpstream } = args;
        const { run } = steps;
        super("synapse-migration:index:Gateway", name, { serverName: args.serverName, ...layout.listener }, opts);
        this.#args = args;
        const gateway = steps.add(
            gatewayContract,
            { run, directory: layout.directory, listener: layout.listener, upstream, mediaUpstream, retryAfterSeconds },
            { parent: this },
        );
        this.url = gateway.result.url;
        this.#directory = gateway.result.directory;
        this.registerOutputs({ url: this.url });
    }

    /** Lets traffic through, once the target is committed. */
    public open(committedAt: pulumi.Output<string>, verifyKeys: pulumi.Output<Record<string, string>>) {
        const { steps, serverName, publicBaseUrl } = this.#args;
        return steps.add(
            openContract,
            {
                run: steps.run,
                serverName,
                gatewayDirectory: this.#directory,
                gatewayUrl: this.url,
                committedAt,
                publicBaseUrl,
                verifyKeys,
            },
            { parent: this },
        );
    }
}
