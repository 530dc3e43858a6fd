/**
 * Gets at a message that is encrypted to a public key: the secret key decrypts the session key in this process, and what decrypts the message
 * is given that alone.
 *
 * gpg would keep the secret key in files, and start an agent that outlives it. It takes a session key by descriptor instead.
 */
import {
    decryptKey,
    decryptSessionKeys,
    enums,
    readMessage,
    readPrivateKeys,
    type PrivateKey,
    type SessionKey,
} from "openpgp";
import { MigrationError } from "../../run/errors.ts";
import type { ByteReader } from "../streams/byteReader.ts";

interface Unlocking {
    /** How errors name the message. */
    readonly where: string;
    /** Armored; one or more keys. */
    readonly secretKey: string;
    /** Of the secret key, where it has one. */
    readonly passphrase?: string | undefined;
}

/** A session key is encrypted in a few hundred bytes, to each of the recipients. */
const longestHeader = 256 * 1024;
/** RFC 9580 section 5: what stands before the encrypted data. */
const headerTags: ReadonlySet<number> = new Set([
    enums.packet.publicKeyEncryptedSessionKey,
    enums.packet.symEncryptedSessionKey,
    enums.packet.marker,
]);
/** The library takes session keys only of a message with data: version 1, and nothing in it. */
const noData = Buffer.from([0xc0 | enums.packet.symEncryptedIntegrityProtectedData, 1, 1]);

/**
 * The session key of a binary message whose header the reader keeps unread; undefined when no public key has a part in it.
 *
 * @throws MigrationError SM-E0914 for a message that no GnuPG reads; SM-E0929 for a secret key that cannot be used, SM-E0921 when the message is encrypted to another one, and not to a
 *     passphrase besides
 */
export async function sessionKeyOf(reader: ByteReader, unlocking: Unlocking): Promise<SessionKey | undefined> {
    const keys = await readKeys(unlocking.secretKey);
    const header = await headerOf(reader);
    if (!header.tags.has(enums.packet.publicKeyEncryptedSessionKey)) return undefined;
    const message = await readMessage({ binaryMessage: Buffer.concat([header.bytes, noData]) });
    const recipients = message.getEncryptionKeyIDs();
    const ours = keys.filter((key) => recipients.some((id) => /^0+$/.test(id.toHex()) || key.getKeys(id).length > 0));
    // The passphrase may be the message's own, too.
    const hasPassphrase = header.tags.has(enums.packet.symEncryptedSessionKey) && unlocking.passphrase !== undefined;
    if (ours.length === 0) {
        if (hasPassphrase) return undefined;
        throw forAnother(
            recipients.map((id) => id.toHex().toUpperCase()),
            keys,
            unlocking.where,
        );
    }
    const decryptionKeys = await Promise.all(ours.map((key) => unlocked(key, unlocking.passphrase)));
    const [sessionKey] = await decryptSessionKeys({ message, decryptionKeys }).catch((cause: unknown) => {
        if (hasPassphrase) return [];
        throw new MigrationError("SM-E0921", {
            where: unlocking.where,
            found: `the key ${ours.map(idOf).join(", ")} does not decrypt it: ${messageOf(cause)}`,
            expected: "the secret half of the key that it was encrypted to, or a header that is not damaged",
            cause,
        });
    });
    if (sessionKey === undefined) return undefined;
    const { algorithm, data } = sessionKey;
    if (algorithm === null)
        throw new MigrationError("SM-E0914", {
            where: unlocking.where,
            found: "a message of OpenPGP's version 6, which GnuPG does not read",
            expected: "one of version 4",
            fix: "decrypt it with the program that made it",
        });
    return { algorithm, data };
}

/** As `gpg --override-session-key` takes it: the algorithm's number, and the key. */
export function sessionKeyText({ algorithm, data }: SessionKey): string {
    return `${enums.symmetric[algorithm]}:${Buffer.from(data).toString("hex").toUpperCase()}`;
}

/**
 * The keys of an armored text.
 *
 * @throws MigrationError SM-E0929
 */
async function readKeys(armored: string): Promise<readonly PrivateKey[]> {
    try {
        return await readPrivateKeys({ armoredKeys: armored });
    } catch (cause) {
        const isPublic = armored.includes("BEGIN PGP PUBLIC KEY");
        const found = isPublic ? "a public key: only its other half decrypts" : messageOf(cause);
        throw unusable(found, cause);
    }
}

async function unlocked(key: PrivateKey, passphrase: string | undefined): Promise<PrivateKey> {
    // A primary key that is kept elsewhere leaves a stub behind, which is never locked.
    if (key.isDecrypted()) return key;
    if (passphrase === undefined || passphrase === "")
        throw unusable(`the key ${idOf(key)}, which is locked, and no passphrase`);
    try {
        return await decryptKey({ privateKey: key, passphrase });
    } catch (cause) {
        throw unusable(`the key ${idOf(key)}, which the passphrase does not unlock`, cause);
    }
}

async function headerOf(reader: ByteReader): Promise<{ readonly bytes: Buffer; readonly tags: ReadonlySet<number> }> {
    const head = await reader.peek(longestHeader);
    const tags = new Set<number>();
    let end = 0;
    for (;;) {
        const packet = packetAt(head, end);
        if (packet === undefined || !headerTags.has(packet.tag) || packet.end > head.length) break;
        tags.add(packet.tag);
        end = packet.end;
    }
    return { bytes: head.subarray(0, end), tags };
}

/** RFC 9580 section 4.2; undefined for a length that is not definite, which no packet of a header has. */
function packetAt(bytes: Buffer, at: number): { readonly tag: number; readonly end: number } | undefined {
    const [first = 0, length = 0, second = 0] = bytes.subarray(at, at + 3);
    if ((first & 0x80) === 0 || at + 6 > bytes.length) return undefined;
    if ((first & 0x40) !== 0) {
        const tag = first & 0x3f;
        if (length < 192) return { tag, end: at + 2 + length };
        if (length < 224) return { tag, end: at + 3 + ((length - 192) << 8) + second + 192 };
        return length === 255 ? { tag, end: at + 6 + bytes.readUInt32BE(at + 2) } : undefined;
    }
    const [tag, kind] = [(first >> 2) & 0x0f, first & 3];
    if (kind === 3) return undefined;
    const width = 1 << kind;
    return { tag, end: at + 1 + width + bytes.readUIntBE(at + 1, width) };
}

const idOf = (key: PrivateKey): string => key.getKeyID().toHex().toUpperCase();
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function forAnother(recipients: readonly string[], keys: readonly PrivateKey[], where: string): MigrationError {
    const given = keys.flatMap((key) => key.getKeys().map((each) => each.getKeyID().toHex().toUpperCase()));
    return new MigrationError("SM-E0921", {
        where,
        found: `it is encrypted to the key ${recipients.join(", ")}; the secret key given is ${given.join(", ")}`,
        expected: "the secret half of the key that it was encrypted to",
    });
}

function unusable(found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E0929", {
        where: "config secretKey",
        found,
        expected: "what `gpg --armor --export-secret-keys KEY` writes, and its passphrase",
        cause,
    });
}
