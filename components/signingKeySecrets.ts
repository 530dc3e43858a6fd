/** The secrets that make a server this server to its users and to the federation. */
import * as pulumi from "@pulumi/pulumi";
import { secretsContract, type MediaStorageProvider, type Source } from "../contract/index.ts";
import type { StepSequence } from "./stepSequence.ts";

/** What {@link SigningKeySecrets} needs. */
export interface SigningKeySecretsArgs {
    readonly steps: StepSequence;
    readonly source: Source;
    /** Secret files are made below it, mode 0600. */
    readonly targetDirectory: string;
    /** Whom the target's servers run as; see `target.user`. */
    readonly user?: string | undefined;
    /** The source's signing key file: one `ed25519 <version> <unpadded base64 seed>` line per key. */
    readonly signingKey: pulumi.Input<string>;
    /** Mixed into every password before bcrypt. Absent when the source has none; empty is not the same as absent. */
    readonly pepper?: pulumi.Input<string> | undefined;
    /**
     * Signs guest and login tokens. The effective one: what Synapse itself falls back to when none is configured. Absent where a bundle came
     * without it: those tokens are lost.
     */
    readonly macaroonSecretKey?: pulumi.Input<string> | undefined;
    /** Its keys go to the other secrets. Absent: the target has all media in its own store. */
    readonly mediaStorageProvider?: pulumi.Input<MediaStorageProvider> | undefined;
    readonly protect: boolean;
}

/**
 * Signing key, pepper and macaroon secret, compared with those of the source and put into files of the target.
 *
 * Nothing is generated here: a missing signing key is an error, because Synapse would invent one at its next start and
 * every other homeserver would reject what it signs.
 */
export class SigningKeySecrets extends pulumi.ComponentResource {
    public readonly signingKeyFile: pulumi.Output<string>;
    /** A homeserver configuration file that holds all secrets of the target. */
    public readonly secretsFile: pulumi.Output<string>;
    /** Ids and public halves, safe to print: `{"ed25519:a_AbCd": "<unpadded base64>"}`. */
    public readonly verifyKeys: pulumi.Output<Record<string, string>>;

    constructor(name: string, args: SigningKeySecretsArgs, opts?: pulumi.ComponentResourceOptions) {
        // Arguments are kept in the state in plain text, so only what may be read there is passed on.
        super("synapse-migration:index:SigningKeySecrets", name, { serverName: args.source.serverName }, opts);
        const { steps, source, targetDirectory, signingKey, pepper, macaroonSecretKey, protect } = args;
        const { mediaStorageProvider, user } = args;
        const secrets = { signingKey, pepper, macaroonSecretKey };
        const { result } = steps.add(
            secretsContract,
            { run: steps.run, source, targetDirectory, user, ...secrets, mediaStorageProvider },
            { parent: this, protect },
        );
        this.signingKeyFile = result.signingKeyFile;
        this.secretsFile = result.secretsFile;
        this.verifyKeys = result.verifyKeys;
        this.registerOutputs({ verifyKeys: this.verifyKeys });
    }
}
