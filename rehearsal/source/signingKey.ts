/** Ed25519 keys as Matrix writes them: unpadded base64 of 32 bytes. Own code, so that it can check what the steps do with theirs. */
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from "node:crypto";
import { sortedJson } from "./sortedJson.ts";

/** What precedes the 32 bytes in DER (RFC 8410). */
const privatePrefix = Buffer.from("302e020100300506032b657004220420", "hex");
const publicPrefix = Buffer.from("302a300506032b6570032100", "hex");

export interface SigningKey {
    /** `ed25519:<version>`. */
    readonly id: string;
    /** Unpadded base64 of the seed. */
    readonly seed: string;
    /** Unpadded base64 of the public key. */
    readonly publicKey: string;
    /** Unpadded base64 of the signature of an object, which must not have `signatures` or `unsigned`. */
    sign(object: object): string;
}

/** @param seed  32 bytes */
export function signingKey(id: string, seed: Buffer): SigningKey {
    const key = createPrivateKey({ key: Buffer.concat([privatePrefix, seed]), format: "der", type: "pkcs8" });
    return {
        id,
        seed: unpaddedBase64(seed),
        publicKey: unpaddedBase64(
            createPublicKey(key).export({ format: "der", type: "spki" }).subarray(publicPrefix.length),
        ),
        sign: (object) => unpaddedBase64(sign(null, Buffer.from(sortedJson(object)), key)),
    };
}

/** Whether the signature is that of the public key over the object without `signatures` and `unsigned`. */
export function isSignedBy(object: object, signature: string, publicKey: string): boolean {
    const entries = Object.entries(object).filter(([name]) => name !== "signatures" && name !== "unsigned");
    const key: KeyObject = createPublicKey({
        key: Buffer.concat([publicPrefix, Buffer.from(publicKey, "base64")]),
        format: "der",
        type: "spki",
    });
    return verify(null, Buffer.from(sortedJson(Object.fromEntries(entries))), key, Buffer.from(signature, "base64"));
}

export function unpaddedBase64(bytes: Buffer): string {
    return bytes.toString("base64").replace(/=+$/, "");
}
