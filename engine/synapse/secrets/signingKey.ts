/** Signing keys: the file Synapse keeps them in (python-signedjson, key.py), their public halves, and what they sign. */
import { createPrivateKey, createPublicKey, randomBytes, sign, verify, type KeyObject } from "node:crypto";
import { z } from "zod";
import { MigrationError, type ErrorDetail } from "../../run/errors.ts";
import type { ErrorCode } from "../../run/errorCatalogue.ts";
import { registerSecret } from "../../run/redaction.ts";
import { canonicalJson } from "../canonicalJson.ts";

/** One ed25519 key of a homeserver. */
export interface SigningKey {
    /** `ed25519:<version>`, as in signatures. */
    readonly id: string;
    readonly version: string;
    /** 32 bytes; secret. */
    readonly seed: Buffer;
    /** Unpadded base64 of the public key, as the key endpoint shows it. */
    readonly verifyKey: string;
}

/**
 * Public keys whose private halves are known to everyone, padded base64: `BANNED_SERVER_SIGNING_KEYS` of
 * synapse/crypto/keyring.py (CVE-2026-24044, ELEMENTSEC-2025-1670).
 */
export const bannedVerifyKeys: readonly string[] = ["l/O9hxMVKB6Lg+3Hqf0FQQZhVESQcMzbPN1Cz2nM3og="];

/** DER in front of the 32 bytes of a seed (RFC 8410, PKCS #8) and of a public key (SubjectPublicKeyInfo). */
const pkcs8Prefix = Buffer.from("302e020100300506032b657004220420", "hex");
const spkiPrefix = Buffer.from("302a300506032b6570032100", "hex");
const keyBytes = 32;

/**
 * Parses a signing key file: a line `ed25519 <version> <base64 of the 32-byte seed>` a key; the first one signs.
 *
 * What Synapse reads without complaint is read too: CRLF, blank lines, padding, the URL-safe alphabet. The seeds are registered
 * as secrets.
 *
 * @param where  file or setting it comes from
 * @throws MigrationError SM-E0810 to SM-E0816, one code a kind of damage
 */
export function parseSigningKeys(text: string, where: string): [SigningKey, ...SigningKey[]] {
    const lines = text
        .split(/\r\n|\r|\n/)
        .map((line, index) => ({
            words: line.split(/\s+/).filter((word) => word !== ""),
            where: `${where}:${index + 1}`,
        }))
        .filter(({ words }) => words.length > 0);
    refuseOtherForms(text, where);
    const [first, ...rest] = lines.map((line) => parseLine(line.words, line.where));
    if (first === undefined) throw refusal("SM-E0810", { where, found: "no key" });
    const ids = [first, ...rest].map((key) => key.id);
    const twice = ids.find((id, index) => ids.indexOf(id) !== index);
    if (twice !== undefined) throw refusal("SM-E0814", { where, found: `two keys with the id ${twice}` });
    // Both spellings: the last character of a seed's base64 has bits that do not count.
    registerSecret(text);
    for (const key of [first, ...rest]) registerSecret(unpadded(key.seed));
    return [first, ...rest];
}

/** The file Synapse reads, in the form it writes itself. */
export function formatSigningKeys(keys: readonly SigningKey[]): string {
    return keys.map((key) => `ed25519 ${key.version} ${unpadded(key.seed)}\n`).join("");
}

/** The text of a key that nothing is signed with, where Synapse demands one. */
export function throwAwayKey(): string {
    return `ed25519 a_throwaway ${unpadded(randomBytes(32))}`;
}

/** `{"ed25519:a_AbCd": "<unpadded base64>"}`; safe to print. */
export function verifyKeysOf(keys: readonly SigningKey[]): Record<string, string> {
    return Object.fromEntries(keys.map((key) => [key.id, key.verifyKey]));
}

/** Whether the key is one that Synapse refuses signatures of. */
export function isBanned(key: Pick<SigningKey, "verifyKey">): boolean {
    return bannedVerifyKeys.some((banned) => unpadded(Buffer.from(banned, "base64")) === key.verifyKey);
}

const signedObject = z.looseObject({
    signatures: z.record(z.string(), z.record(z.string(), z.string())).optional(),
    unsigned: z.unknown().optional(),
});

/** Adds the server's signature to a JSON object as the Matrix specification says (appendices, "Signing JSON"). */
export function signJson(object: object, serverName: string, key: SigningKey): Record<string, unknown> {
    const parsed = signedObject.parse(object);
    const signature = unpadded(sign(null, signedBytes(parsed), privateKey(key.seed)));
    const own = { ...parsed.signatures?.[serverName], [key.id]: signature };
    return { ...parsed, signatures: { ...parsed.signatures, [serverName]: own } };
}

/**
 * Whether the object carries a valid signature of that server with that key. False, never an exception, for anything else,
 * as the object comes from the network.
 *
 * @param verifyKey  base64 of the public key, padded or not
 */
export function verifySignedJson(object: unknown, serverName: string, keyId: string, verifyKey: string): boolean {
    const parsed = signedObject.safeParse(object);
    const signature = parsed.data?.signatures?.[serverName]?.[keyId];
    const key = Buffer.from(verifyKey, "base64");
    if (parsed.data === undefined || signature === undefined || key.length !== keyBytes) return false;
    try {
        const publicKey = createPublicKey({ key: Buffer.concat([spkiPrefix, key]), format: "der", type: "spki" });
        return verify(null, signedBytes(parsed.data), publicKey, Buffer.from(signature, "base64"));
    } catch {
        return false;
    }
}

function signedBytes(object: z.infer<typeof signedObject>): Buffer {
    const signed = Object.entries(object).filter(([key]) => key !== "signatures" && key !== "unsigned");
    return canonicalJson(Object.fromEntries(signed));
}

function refuseOtherForms(text: string, where: string): void {
    if (text.startsWith("\ufeff")) {
        throw refusal("SM-E0814", {
            where,
            found: "it begins with a byte order mark",
            fix: "save the file as UTF-8 without byte order mark",
        });
    }
    if (/-----BEGIN [A-Z ]*PUBLIC KEY-----/.test(text)) {
        throw refusal("SM-E0811", { where, found: "a public key in PEM form" });
    }
    if (text.includes("-----BEGIN ")) {
        throw refusal("SM-E0814", {
            where,
            found: "a key in PEM form, such as matrix-media-repo writes",
            fix: "give Synapse's own signing key file; matrix-media-repo's key is a second one",
        });
    }
    if (/"?(verify_keys|expired_ts)"?\s*:|"?ed25519:\w+"?\s*:?\s/.test(text)) {
        throw refusal("SM-E0811", {
            where,
            found: "a verify key, as `export_signing_key` or the key endpoint show it",
        });
    }
}

function parseLine(words: readonly string[], where: string): SigningKey {
    const [algorithm = "", version = "", encoded = ""] = words;
    if (words.length === 1) {
        const old = decode(algorithm)?.length === keyBytes;
        throw refusal(old ? "SM-E0815" : "SM-E0814", {
            where,
            found: old ? "a key and nothing else" : "one word",
            expected: "three words",
        });
    }
    if (words.length !== 3)
        throw refusal("SM-E0814", { where, found: `${words.length} words`, expected: "three words" });
    if (algorithm !== "ed25519") {
        throw refusal("SM-E0816", { where, found: `the algorithm ${JSON.stringify(algorithm.slice(0, 20))}` });
    }
    if (!/^[a-zA-Z0-9_]+$/.test(version)) {
        throw refusal("SM-E0814", { where, found: "a version with other characters than letters, digits and _" });
    }
    const seed = decode(encoded);
    if (seed === undefined)
        throw refusal("SM-E0813", { where, found: "a third word with other characters than base64" });
    if (seed.length !== keyBytes) {
        throw refusal("SM-E0812", { where, found: `${seed.length} bytes`, expected: `${keyBytes} bytes` });
    }
    return { id: `ed25519:${version}`, version, seed, verifyKey: verifyKeyOf(seed) };
}

function refusal(code: ErrorCode, detail: ErrorDetail): MigrationError {
    return new MigrationError(code, detail);
}

/** Undefined for what is not base64 at all; Node's decoder would skip what it does not know. */
function decode(text: string): Buffer | undefined {
    return /^[A-Za-z0-9+/_-]*={0,2}$/.test(text) ? Buffer.from(text.replace(/=+$/, ""), "base64") : undefined;
}

function verifyKeyOf(seed: Buffer): string {
    const spki = createPublicKey(privateKey(seed)).export({ format: "der", type: "spki" });
    return unpadded(spki.subarray(spki.length - keyBytes));
}

function privateKey(seed: Buffer): KeyObject {
    return createPrivateKey({ key: Buffer.concat([pkcs8Prefix, seed]), format: "der", type: "pkcs8" });
}

function unpadded(bytes: Buffer): string {
    return bytes.toString("base64").replace(/=+$/, "");
}
