/** Reads what gpg says of a message. Its exit code does not tell: it is 0 for some messages that were cut off, and 2 for every failure. */
import { MigrationError, type ErrorDetail } from "../../run/errors.ts";
import type { ErrorCode } from "../../run/errorCatalogue.ts";
import type { ProgramEnd } from "../streams/streamProgram.ts";

/** What the caller knows of the message that was decrypted. */
export interface DecryptionAttempt {
    /** The message, as errors name it. */
    readonly where: string;
    readonly hasPassphrase: boolean;
    /** Whether a secret key has decrypted the session key already. */
    readonly hasSessionKey?: boolean;
}

type Status = ReadonlyMap<string, readonly string[]>;

const codeOf = {
    wrongPassphrase: "SM-E0920",
    noSecretKey: "SM-E0921",
    unprotected: "SM-E0923",
    altered: "SM-E0924",
    cutOff: "SM-E0925",
    notEncrypted: "SM-E0926",
} as const satisfies Record<string, ErrorCode>;

/**
 * Refuses a decryption unless gpg says that it decrypted a message and that its integrity was proven, and ended with 0.
 *
 * Source: GnuPG `doc/DETAILS`, "Format of the --status-fd output", and trials with 2.2.40.
 *
 * @throws MigrationError SM-E0920, SM-E0921, SM-E0923 to SM-E0926
 */
export function judgeDecryption(end: ProgramEnd, attempt: DecryptionAttempt): void {
    const status = parseStatus(end.status);
    if (end.exitCode === 0 && isProven(status)) return;
    const [kind, found, expected] = verdict(status, end, attempt);
    const detail: ErrorDetail = { where: attempt.where, found: `${found}${lastLines(end)}`, expected };
    throw new MigrationError(codeOf[kind], detail);
}

/** GOODMDC stands for both kinds of integrity protection. A second message behind the first one makes gpg end with 2. */
function isProven(status: Status): boolean {
    return status.has("DECRYPTION_OKAY") && status.has("GOODMDC") && !status.has("DECRYPTION_FAILED");
}

function verdict(status: Status, end: ProgramEnd, attempt: DecryptionAttempt): [keyof typeof codeOf, string, string] {
    const errors = (status.get("ERROR") ?? []).join(" ");
    const needsKey = attempt.hasSessionKey !== true && (status.has("NO_SECKEY") || status.has("ENC_TO"));
    const askedPassphrase = status.has("NEED_PASSPHRASE_SYM");
    if (errors.includes("BAD_PASSPHRASE") || status.has("BAD_PASSPHRASE") || status.has("MISSING_PASSPHRASE"))
        return attempt.hasPassphrase
            ? ["wrongPassphrase", "the passphrase does not decrypt it", "the passphrase it was encrypted with"]
            : ["wrongPassphrase", "it is encrypted, and no passphrase was given", "its passphrase"];
    if (errors.includes("nomdc"))
        return [
            "unprotected",
            "it carries no integrity protection (MDC)",
            "a message whose alteration would be noticed",
        ];
    if (isCutOff(end, status))
        return ["cutOff", "it ends before its end", "the whole file, all of its parts in their order"];
    if (status.has("BADMDC")) return ["altered", "it was altered after it was made", "the file as it was made"];
    if (needsKey && !askedPassphrase)
        return [
            "noSecretKey",
            `it is encrypted to the key ${keyIds(status)}, whose secret half is not here`,
            "a message that is encrypted with a passphrase, or config secretKey",
        ];
    if (!status.has("BEGIN_DECRYPTION") && (status.has("PLAINTEXT") || status.has("NEWSIG") || status.has("ERRSIG")))
        return ["notEncrypted", "it is signed or packed with OpenPGP, and not encrypted", "an encrypted message"];
    if (status.has("NEED_PASSPHRASE_SYM") && !status.has("BEGIN_DECRYPTION"))
        return ["cutOff", "there is no message behind its header", "the whole file, all of its parts in their order"];
    return ["altered", "gpg did not prove that it is whole and unaltered", "the file as it was made"];
}

/** Only its messages tell a message that was cut off from one that was altered: the status is BADMDC for both. */
function isCutOff(end: ProgramEnd, status: Status): boolean {
    // Of a short message gpg reads all before it begins, and says no more than that it could not.
    const isJudged = ["BADMDC", "NODATA", "UNEXPECTED"].some((word) => status.has(word));
    if (!isJudged && status.has("BEGIN_DECRYPTION")) return false;
    return /read error|pending bytes|premature eof|unexpected end/i.test(end.stderr);
}

function keyIds(status: Status): string {
    const ids = [...(status.get("NO_SECKEY") ?? []), ...(status.get("ENC_TO") ?? [])].map((line) => line.split(" ")[0]);
    return [...new Set(ids)].join(", ");
}

/** Status words with the arguments of each of their lines. */
export function parseStatus(text: string): Status {
    const status = new Map<string, string[]>();
    for (const [, word, rest] of text.matchAll(/^\[GNUPG:\] (\S+) ?(.*)$/gm)) {
        if (word === undefined) continue;
        status.set(word, [...(status.get(word) ?? []), rest ?? ""]);
    }
    return status;
}

/** The last lines that gpg wrote, for people. */
export function lastLines(end: ProgramEnd): string {
    const lines = end.stderr.trim().split("\n").slice(-3).join("\n");
    return lines === "" ? "" : `\n${lines}`;
}
