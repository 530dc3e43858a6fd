/** The keys and secrets that make a source homeserver this one, newly made. */
import { randomBytes } from "node:crypto";
import { signingKey, unpaddedBase64 } from "./signingKey.ts";

export interface HomeserverIdentity {
    readonly registrationSharedSecret: string;
    readonly macaroonSecretKey: string;
    /** `{"ed25519:a_AbCd": "<unpadded base64 of the public key>"}`. */
    readonly verifyKeys: Readonly<Record<string, string>>;
    /** Keys that no longer sign but still verify, with the instant they expired, in milliseconds. */
    readonly oldVerifyKeys: Readonly<Record<string, { readonly key: string; readonly expired_ts: number }>>;
    readonly pepper: string;
}

export interface NewIdentity {
    readonly identity: HomeserverIdentity;
    /** Content of the file that `signing_key_path` names. */
    readonly signingKey: string;
    /** All else of it, as homeserver.yaml has it. */
    readonly settings: object;
}

export function makeIdentity(): NewIdentity {
    const key = signingKey(`ed25519:a_${randomBytes(2).toString("hex")}`, randomBytes(32));
    const oldKey = signingKey(`ed25519:a_old${randomBytes(1).toString("hex")}`, randomBytes(32));
    const oldVerifyKeys = { [oldKey.id]: { key: oldKey.publicKey, expired_ts: 1_700_000_000_000 } };
    const secrets = {
        registration_shared_secret: randomBytes(24).toString("base64url"),
        macaroon_secret_key: randomBytes(24).toString("base64url"),
        form_secret: randomBytes(24).toString("base64url"),
    };
    // With a password of up to 40 bytes it stays below the 72 bytes that bcrypt looks at: a wrong pepper is noticed.
    const pepper = unpaddedBase64(randomBytes(21));
    return {
        identity: {
            registrationSharedSecret: secrets.registration_shared_secret,
            macaroonSecretKey: secrets.macaroon_secret_key,
            verifyKeys: { [key.id]: key.publicKey },
            oldVerifyKeys,
            pepper,
        },
        signingKey: `ed25519 ${key.id.slice(8)} ${key.seed}\n`,
        settings: { ...secrets, old_signing_keys: oldVerifyKeys, password_config: { pepper } },
    };
}
