/** Decrypts one OpenPGP message: with the system's gpg, or with openpgp.js where there is none. */
import type { Bytes } from "./byteReader.ts";
import { gpg, hasGpg } from "./gpgHome.ts";
import { judgeDecryption } from "./gpgStatus.ts";

/** Which program does the cryptography; `system` is tried first when nothing is said. */
export type OpenPgpProgram = "gpg" | "openpgp.js";

export interface DecryptOptions {
    /** How errors name the message. */
    readonly where: string;
    readonly passphrase?: string | undefined;
    /** Of this run, mode 0700. */
    readonly workDirectory: string;
    readonly signal?: AbortSignal | undefined;
    readonly openPgp?: OpenPgpProgram | undefined;
}

/**
 * The content of a message, binary or armored. It is proven whole and unaltered only when the generator has ended: everything before is
 * what an attacker may have made.
 *
 * @throws MigrationError SM-E0920 to SM-E0926
 */
export async function* decrypt(input: Bytes, options: DecryptOptions): AsyncGenerator<Buffer, void> {
    const program = options.openPgp ?? ((await hasGpg()) ? "gpg" : "openpgp.js");
    if (program === "openpgp.js") {
        const { decryptWithLibrary } = await import("./openpgpLibrary.ts");
        yield* decryptWithLibrary(input, options);
        return;
    }
    const passphrase = options.passphrase ?? "";
    yield* gpg(["--decrypt"], {
        input,
        passphrase,
        workDirectory: options.workDirectory,
        signal: options.signal,
        judge: (end) => judgeDecryption(end, { where: options.where, hasPassphrase: passphrase !== "" }),
    });
}
