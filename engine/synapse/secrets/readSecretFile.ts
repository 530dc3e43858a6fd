/** Reads files that hold secrets, and says what is wrong with them. */
import { constants, type Stats } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import type { Finding } from "../../../contract/index.ts";
import { MigrationError } from "../../run/errors.ts";
import { registerSecret } from "../../run/redaction.ts";

/** No key, password or token of a homeserver comes near this. */
const largestSecretBytes = 64 * 1024;

export interface SecretFile {
    /** As it is in the file, white space included. Registered as a secret. */
    readonly text: string;
    /** SM-W1003 when others than owner and group can read it; Synapse itself writes its keys with mode 0640. */
    readonly findings: readonly Finding[];
}

/**
 * Reads a secret of the source, through links as Synapse does.
 *
 * @param setting  what names the file, for messages
 * @throws MigrationError SM-E1003 when it is missing, not a regular file, empty, larger than 64 KiB, or not UTF-8
 */
export async function readSourceSecret(path: string, setting: string): Promise<SecretFile> {
    const { text, kind } = await read(path, setting, constants.O_RDONLY);
    const findings: Finding[] = [];
    if ((kind.mode & 0o007) !== 0) {
        findings.push({
            id: "SM-W1003",
            severity: "warning",
            evidence: `${path} (${setting}) has mode 0${(kind.mode & 0o777).toString(8)}`,
            fix: `chmod 0640 ${path}`,
        });
    }
    return { text, findings };
}

/**
 * Reads a secret that was written for this program: never through a link, and readable by its owner alone.
 *
 * @throws MigrationError SM-E1003 as {@link readSourceSecret}, and when it is a symbolic link or has another mode than 0600 or 0400
 */
export async function readOwnSecret(path: string, setting: string): Promise<string> {
    const { text, kind } = await read(path, setting, constants.O_RDONLY | constants.O_NOFOLLOW);
    if ((kind.mode & 0o077) !== 0) {
        throw unusable(path, setting, `it can be used by group or others: mode 0${(kind.mode & 0o777).toString(8)}`);
    }
    return text;
}

async function read(path: string, setting: string, flags: number): Promise<{ text: string; kind: Stats }> {
    // Without O_NONBLOCK, opening a named pipe would wait for a writer.
    const file = await open(path, flags | constants.O_NONBLOCK).catch((cause: unknown) => {
        throw unusable(path, setting, reason(cause), cause);
    });
    try {
        const kind = await file.stat();
        if (kind.isDirectory()) throw unusable(path, setting, "it is a directory");
        if (!kind.isFile()) throw unusable(path, setting, "it is not a regular file");
        return { text: await content(file, path, setting), kind };
    } finally {
        await file.close();
    }
}

async function content(file: FileHandle, path: string, setting: string): Promise<string> {
    // One byte more than allowed: the size that stat tells may have changed since.
    const buffer = Buffer.alloc(largestSecretBytes + 1);
    let length = 0;
    for (;;) {
        const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
        if (bytesRead === 0) break;
        length += bytesRead;
    }
    if (length > largestSecretBytes) throw unusable(path, setting, `it is larger than ${largestSecretBytes} bytes`);
    let text: string;
    try {
        text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(buffer.subarray(0, length));
    } catch (cause) {
        throw unusable(path, setting, "it is not UTF-8 text", cause);
    }
    if (text.trim() === "") throw unusable(path, setting, "it is empty");
    registerSecret(text);
    return text;
}

function reason(cause: unknown): string {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unknown reason";
    const known: Record<string, string> = {
        ENOENT: "it does not exist",
        ELOOP: "it is a symbolic link",
        EACCES: "this user may not read it",
        EISDIR: "it is a directory",
        ENXIO: "it is not a regular file",
    };
    return known[code] ?? `it cannot be opened: ${code}`;
}

function unusable(path: string, setting: string, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E1003", {
        where: `${path} (${setting})`,
        found,
        expected: `a regular file with a secret of up to ${largestSecretBytes} bytes, readable by its owner`,
        cause,
    });
}
