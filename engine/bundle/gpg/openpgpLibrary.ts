/** OpenPGP where there is no gpg: openpgp.js, several times slower. Loaded only then. */
import { readFile } from "node:fs/promises";
import { ReadableStream } from "node:stream/web";
import { createMessage, decrypt, encrypt, enums, readKey, readMessage, type Message, type SessionKey } from "openpgp";
import { MigrationError } from "../../run/errors.ts";
import type { ErrorCode } from "../../run/errorCatalogue.ts";
import { isArmor, unarmored } from "./armor.ts";
import { ByteReader, type Bytes } from "../streams/byteReader.ts";
import { s2kCount } from "./gpgHome.ts";
import type { DecryptOptions, Recipient } from "./message.ts";

/** Decrypted data is passed on before it is authenticated: whoever reads it waits for the end, as with gpg. */
const config = { allowUnauthenticatedStream: true, allowUnauthenticatedMessages: false };

/** The library waits for ever for some of what a wrong passphrase makes of a message. */
const patienceSeconds = 20;

/** See {@link decrypt} of `decrypt.ts`. A wrong passphrase and a damaged beginning cannot be told apart here. */
export async function* decryptWithLibrary(
    input: Bytes,
    options: DecryptOptions,
    sessionKey?: SessionKey,
): AsyncGenerator<Buffer, void> {
    const { where, passphrase = "" } = options;
    let isBegun = false;
    let source: Error | undefined;
    const bytes = remembering(input, (error) => (source = error));
    try {
        const packets = await unarmored(new ByteReader(bytes), where);
        const message = await readMessage({ binaryMessage: byteStream(packets), config });
        refuseUnreadable(message, where, passphrase, sessionKey !== undefined);
        const opening = sessionKey === undefined ? { passwords: passphrase } : { sessionKeys: sessionKey };
        const decrypted: { readonly data: unknown } = await soon(
            decrypt({ message, ...opening, format: "binary", config }),
        );
        const chunks = buffersOf(decrypted.data);
        for (;;) {
            options.signal?.throwIfAborted();
            const next = await soon(chunks.next());
            if (next.done === true) break;
            isBegun = true;
            yield next.value;
        }
    } catch (error) {
        if (source !== undefined) throw source;
        throw error instanceof MigrationError ? error : failed(error, where, isBegun || sessionKey !== undefined);
    }
}

/** See {@link encryptStream}. */
export async function* encryptWithLibrary(
    input: Bytes,
    recipient: Recipient,
    where: string,
): AsyncGenerator<Buffer, void> {
    let source: Error | undefined;
    const binary = byteStream(remembering(input, (error) => (source = error)));
    const message = await createMessage({ binary });
    const settings = {
        preferredSymmetricAlgorithm: enums.symmetric.aes256,
        preferredCompressionAlgorithm: enums.compression.uncompressed,
        s2kIterationCountByte: iterationByte(s2kCount),
        aeadProtect: false,
    };
    const to = "passphrase" in recipient ? { passwords: recipient.passphrase } : await keyOf(recipient.publicKeyFile);
    try {
        const output: unknown = await encrypt({ message, ...to, format: "binary", config: settings });
        yield* buffersOf(output);
    } catch (error) {
        if (source !== undefined) throw source;
        throw unusable(where, error);
    }
}

async function keyOf(path: string): Promise<{ encryptionKeys: Awaited<ReturnType<typeof readKey>> }> {
    const bytes = await readFile(path);
    try {
        const key = await (isArmor(bytes)
            ? readKey({ armoredKey: bytes.toString("latin1") })
            : readKey({ binaryKey: bytes }));
        const expires = await key.getExpirationTime();
        if (expires instanceof Date && expires.getTime() < Date.now())
            throw new MigrationError("SM-E0922", {
                where: path,
                found: `a key that expired at ${expires.toISOString()}`,
                expected: "a key that is valid now",
            });
        await key.getEncryptionKey();
        return { encryptionKeys: key };
    } catch (error) {
        throw error instanceof MigrationError ? error : unusable(path, error);
    }
}

/** By the packets that stand before the data; RFC 9580 section 5. */
function refuseUnreadable(message: Message<unknown>, where: string, passphrase: string, hasSessionKey: boolean): void {
    const tags = new Set(message.packets.map((packet) => packet.constructor).map(tagOf));
    const refuse = (code: ErrorCode, found: string, expected: string): MigrationError =>
        new MigrationError(code, { where, found, expected });
    const { packet } = enums;
    if (tags.has(packet.symmetricallyEncryptedData))
        throw refuse(
            "SM-E0923",
            "it carries no integrity protection (MDC)",
            "a message whose alteration would be noticed",
        );
    const isEncrypted = tags.has(packet.symEncryptedIntegrityProtectedData) || tags.has(packet.aeadEncryptedData);
    const hasKey = tags.has(packet.publicKeyEncryptedSessionKey) || tags.has(packet.symEncryptedSessionKey);
    if (hasKey && !isEncrypted) throw refuse("SM-E0925", "there is no message behind its header", "the whole file");
    if (!isEncrypted) throw refuse("SM-E0926", "it is signed or packed, and not encrypted", "an encrypted message");
    if (hasSessionKey) return;
    if (!tags.has(packet.symEncryptedSessionKey)) {
        const ids = message.getEncryptionKeyIDs().map((id) => id.toHex().toUpperCase());
        throw refuse(
            "SM-E0921",
            `it is encrypted to the key ${ids.join(", ")}, whose secret half is not here`,
            "a message that is encrypted with a passphrase, or config secretKey",
        );
    }
    if (passphrase === "") throw refuse("SM-E0920", "it is encrypted, and no passphrase was given", "its passphrase");
}

async function soon<T>(promise: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
        const refuse = (): void => reject(new Error(`nothing came out of it for ${patienceSeconds} s`));
        timer = setTimeout(refuse, patienceSeconds * 1000);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

function tagOf(packetClass: unknown): unknown {
    return typeof packetClass === "function" && "tag" in packetClass ? packetClass.tag : undefined;
}

function failed(error: unknown, where: string, isBegun: boolean): MigrationError {
    const text = error instanceof Error ? error.message : String(error);
    const detail = { where, found: text, cause: error };
    if (/premature|unexpected end|misformed armored|missing/i.test(text))
        return new MigrationError("SM-E0925", {
            ...detail,
            expected: "the whole file, all of its parts in their order",
        });
    if (isBegun) return new MigrationError("SM-E0924", { ...detail, expected: "the file as it was made" });
    return new MigrationError("SM-E0920", {
        where,
        found: "the passphrase does not decrypt it, or its beginning is damaged",
        expected: "the passphrase it was encrypted with",
        cause: error,
    });
}

function unusable(where: string, error: unknown): MigrationError {
    const found = error instanceof Error ? error.message : String(error);
    return new MigrationError("SM-E0928", { where, found, expected: "one public key that can encrypt", cause: error });
}

/** RFC 9580 section 3.7.1.3: four bits of mantissa, four of exponent. */
function iterationByte(count: number): number {
    for (let byte = 0; byte < 255; byte++) if ((16 + (byte & 15)) * 2 ** ((byte >> 4) + 6) >= count) return byte;
    return 255;
}

/** Its errors do not come out of the library as they went in. */
async function* remembering(input: Bytes, onError: (error: Error) => void): AsyncGenerator<Buffer, void> {
    try {
        yield* input;
    } catch (error) {
        onError(error instanceof Error ? error : new Error(String(error)));
        throw error;
    }
}

async function* buffersOf(stream: unknown): AsyncGenerator<Buffer, void> {
    if (!(stream instanceof ReadableStream)) throw new Error("openpgp.js gave no stream");
    for await (const chunk of stream) {
        if (!(chunk instanceof Uint8Array)) throw new Error("openpgp.js gave something else than bytes");
        yield Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    }
}

function byteStream(input: Bytes): ReadableStream<Uint8Array> {
    return ReadableStream.from(input);
}
