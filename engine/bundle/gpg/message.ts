/** What decrypting and encrypting are told about a message, whichever program does it. */

/** Which program does the cryptography; `system` is tried first when nothing is said. */
export type OpenPgpProgram = "gpg" | "openpgp.js";

export interface DecryptOptions {
    /** How errors name the message. */
    readonly where: string;
    /** Of the message, or of the secret key. */
    readonly passphrase?: string | undefined;
    /** Armored; of whom the message may be encrypted to. */
    readonly secretKey?: string | undefined;
    /** Of this run, mode 0700. */
    readonly workDirectory: string;
    readonly signal?: AbortSignal | undefined;
    readonly openPgp?: OpenPgpProgram | undefined;
}

/** Who can read it. */
export type Recipient =
    | { readonly passphrase: string }
    /** A file with one public key, armored or binary. Whose key that is, is not checked: the administrator who names the file vouches for it. */
    | { readonly publicKeyFile: string };
