/** Encrypts a stream into files that `gpg --decrypt` reads: with a passphrase, or to a receiver's public key. */
import { MigrationError } from "../../run/errors.ts";
import type { Bytes } from "../streams/byteReader.ts";
import type { OpenPgpProgram } from "./decrypt.ts";
import { gpg, hasGpg, s2kCount } from "./gpgHome.ts";
import { lastLines, parseStatus } from "./gpgStatus.ts";
import type { FileDigest } from "../input/inputFiles.ts";
import { writeParts } from "../write/partWriter.ts";
import type { ProgramEnd } from "../streams/streamProgram.ts";

/** Who can read it. */
export type Recipient =
    | { readonly passphrase: string }
    /** A file with one public key, armored or binary. Whose key that is, is not checked: the administrator who names the file vouches for it. */
    | { readonly publicKeyFile: string };

export interface EncryptOptions {
    readonly recipient: Recipient;
    /** The file to make; `.part-aa` and so on are added when it is split. */
    readonly destination: string;
    /** Of this run, mode 0700. */
    readonly workDirectory: string;
    /** Splits the output into files of this many bytes. */
    readonly partBytes?: number | undefined;
    readonly signal?: AbortSignal | undefined;
    readonly openPgp?: OpenPgpProgram | undefined;
}

export interface Encrypted {
    readonly files: readonly FileDigest[];
}

/**
 * Encrypts with AES-256 and integrity protection, without compression: what is large in a bundle is compressed already.
 *
 * Files are of mode 0600 and appear under their names only when all of the input was encrypted and is on disk.
 *
 * @throws MigrationError SM-E0922 expired key, SM-E0928 unusable key, SM-E0957 file exists; what the input throws
 */
export async function encryptStream(input: Bytes, options: EncryptOptions): Promise<Encrypted> {
    const program = options.openPgp ?? ((await hasGpg()) ? "gpg" : "openpgp.js");
    return { files: await writeParts(encrypted(input, options, program), options.destination, options.partBytes) };
}

async function* encrypted(
    input: Bytes,
    options: EncryptOptions,
    program: OpenPgpProgram,
): AsyncGenerator<Buffer, void> {
    const { recipient } = options;
    if ("passphrase" in recipient && recipient.passphrase === "")
        throw new MigrationError("SM-E0928", {
            where: options.destination,
            found: "an empty passphrase",
            expected: "one",
        });
    if (program === "openpgp.js") {
        const { encryptWithLibrary } = await import("./openpgpLibrary.ts");
        yield* encryptWithLibrary(input, recipient, options.destination);
        return;
    }
    const to =
        "passphrase" in recipient
            ? ["--symmetric", "--s2k-mode", "3", "--s2k-digest-algo", "SHA512", "--s2k-count", String(s2kCount)]
            : ["--trust-model", "always", "--recipient-file", recipient.publicKeyFile, "--encrypt"];
    yield* gpg(["--cipher-algo", "AES256", "--compress-algo", "none", "--force-mdc", ...to], {
        input,
        passphrase: "passphrase" in recipient ? recipient.passphrase : "",
        workDirectory: options.workDirectory,
        signal: options.signal,
        judge: (end) => judgeEncryption(end, "passphrase" in recipient ? options.destination : recipient.publicKeyFile),
    });
}

function judgeEncryption(end: ProgramEnd, where: string): void {
    const status = parseStatus(end.status);
    if (end.exitCode === 0 && status.has("END_ENCRYPTION")) return;
    if (status.has("KEYEXPIRED") || status.has("KEYREVOKED"))
        throw new MigrationError("SM-E0922", {
            where,
            found: `a key that is ${status.has("KEYEXPIRED") ? "expired" : "revoked"}${lastLines(end)}`,
            expected: "a key that is valid now",
        });
    throw new MigrationError("SM-E0928", {
        where,
        found: `gpg ended with ${end.exitCode ?? end.endedBy ?? "nothing"}${lastLines(end)}`,
        expected: "an encrypted file",
    });
}
