/** Reads files that hold secrets, and says what is wrong with them. */
import type { Finding } from "../../../contract/index.ts";
import { thisMachine } from "../../machines/local/localMachine.ts";
import type { FileFacts, Machine } from "../../machines/machine.ts";
import { placeOn } from "../../machines/placeOn.ts";
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
export async function readSourceSecret(machine: Machine, path: string, setting: string): Promise<SecretFile> {
    const { text, facts } = await read({ machine, path, setting }, true);
    const findings: Finding[] = [];
    if ((facts.mode & 0o007) !== 0) {
        findings.push({
            id: "SM-W1003",
            severity: "warning",
            evidence: `${placeOn(machine, path)} (${setting}) has mode 0${(facts.mode & 0o777).toString(8)}`,
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
    const place = { machine: thisMachine, path, setting };
    const { text, facts } = await read(place, false);
    if ((facts.mode & 0o077) !== 0) {
        throw unusable(place, `it can be used by group or others: mode 0${(facts.mode & 0o777).toString(8)}`);
    }
    return text;
}

/** A file, and what names it. */
interface Place {
    readonly machine: Machine;
    readonly path: string;
    readonly setting: string;
}

async function read(place: Place, followLinks: boolean): Promise<{ text: string; facts: FileFacts }> {
    const { machine, path } = place;
    const { content, facts } = await machine.files
        .read(path, { atMost: largestSecretBytes, followLinks })
        .catch((cause: unknown) => {
            throw cause instanceof MigrationError ? cause : unusable(place, reason(cause), cause);
        });
    if (content.length > largestSecretBytes) throw unusable(place, `it is larger than ${largestSecretBytes} bytes`);
    let text: string;
    try {
        text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
    } catch (cause) {
        throw unusable(place, "it is not UTF-8 text", cause);
    }
    if (text.trim() === "") throw unusable(place, "it is empty");
    registerSecret(text);
    return { text, facts };
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

function unusable({ machine, path, setting }: Place, found: string, cause?: unknown): MigrationError {
    return new MigrationError("SM-E1003", {
        where: `${placeOn(machine, path)} (${setting})`,
        found,
        expected: `a regular file with a secret of up to ${largestSecretBytes} bytes, readable by its owner`,
        cause,
    });
}
