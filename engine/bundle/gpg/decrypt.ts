/** Decrypts one OpenPGP message: with the system's gpg, or with openpgp.js where there is none. */
import type { SessionKey } from "openpgp";
import { unarmored } from "./armor.ts";
import { ByteReader, type Bytes } from "../streams/byteReader.ts";
import { gpg, hasGpg } from "./gpgHome.ts";
import { judgeDecryption } from "./gpgStatus.ts";
import type { DecryptOptions } from "./message.ts";

/**
 * The content of a message, binary or armored. It is proven whole and unaltered only when the generator has ended: everything before is
 * what an attacker may have made.
 *
 * @throws MigrationError SM-E0920 to SM-E0926, SM-E0929
 */
export async function* decrypt(input: Bytes, options: DecryptOptions): AsyncGenerator<Buffer, void> {
    const { where, secretKey, passphrase = "", workDirectory, signal } = options;
    const program = options.openPgp ?? ((await hasGpg()) ? "gpg" : "openpgp.js");
    const { message, sessionKey } =
        secretKey === undefined
            ? { message: input, sessionKey: undefined }
            : await withSessionKey(input, { ...options, secretKey });
    if (program === "openpgp.js") {
        const { decryptWithLibrary } = await import("./openpgpLibrary.ts");
        yield* decryptWithLibrary(message, options, sessionKey?.key);
        return;
    }
    const attempt = { where, hasPassphrase: passphrase !== "", hasSessionKey: sessionKey !== undefined };
    yield* gpg(["--decrypt"], {
        ...{ input: message, passphrase, sessionKey: sessionKey?.text, workDirectory, signal },
        judge: (end) => judgeDecryption(end, attempt),
    });
}

interface OpenMessage {
    /** Binary. */
    readonly message: Bytes;
    /** Absent when the message is not encrypted to a public key. */
    readonly sessionKey: { readonly key: SessionKey; readonly text: string } | undefined;
}

async function withSessionKey(
    input: Bytes,
    options: DecryptOptions & { readonly secretKey: string },
): Promise<OpenMessage> {
    const { sessionKeyOf, sessionKeyText } = await import("./sessionKey.ts");
    const binary = new ByteReader(await unarmored(new ByteReader(input), options.where));
    const key = await sessionKeyOf(binary, options);
    return { message: binary.rest(), sessionKey: key && { key, text: sessionKeyText(key) } };
}
