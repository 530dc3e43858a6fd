/** Configurations that are encrypted, or no text: what they are, and the command that makes a text of them. */
import { MigrationError } from "../../run/errors.ts";

interface Encryption {
    readonly what: string;
    /** What is run where the file is, or with its path. */
    readonly command: string;
    /** Whether these are the first bytes of such a file, as Latin-1. */
    readonly recognise: (start: string) => boolean;
}

const begins =
    (...beginnings: string[]) =>
    (start: string): boolean =>
        beginnings.some((beginning) => start.startsWith(beginning));

const ansibleVault: Encryption = {
    what: "ansible-vault",
    command: "ansible-vault view FILE > homeserver.yaml",
    recognise: begins("$ANSIBLE_VAULT;"),
};
const sops: Encryption = {
    what: "sops",
    command: "sops --decrypt FILE > homeserver.yaml",
    // In a file in YAML the values are encrypted, and the keys are not: see encryptedSections.
    recognise: (start) => /^\{\s*"data":\s*"ENC\[/.test(start),
};
const encryptions: readonly Encryption[] = [
    {
        what: "git-crypt",
        command: "git-crypt unlock, in the clone that the file is in",
        recognise: begins("\0GITCRYPT\0"),
    },
    ansibleVault,
    sops,
    {
        what: "age",
        command: "age --decrypt -i KEY-FILE FILE > homeserver.yaml",
        recognise: begins("age-encryption.org/", "-----BEGIN AGE ENCRYPTED FILE-----"),
    },
    {
        what: "GnuPG",
        command: "gpg --decrypt FILE > homeserver.yaml",
        recognise: (start) => begins("-----BEGIN PGP MESSAGE-----")(start) || /^[\x84\x85\x8c\xc1]/.test(start),
    },
];
const longestStart = 64;

/** @returns SM-E0228 for a file that is encrypted as a whole */
export function encryptedFile(file: string, content: Uint8Array): MigrationError | undefined {
    const start = Buffer.from(content.subarray(0, longestStart)).toString("latin1");
    const encryption = encryptions.find(({ recognise }) => recognise(start));
    return encryption === undefined ? undefined : encrypted(file, encryption);
}

/** @returns SM-E0228 for what the YAML library says of a value with ansible-vault's tag */
export function encryptedValue(where: string, complaint: string): MigrationError | undefined {
    return /tag: !vault(-encrypted)?\b/.test(complaint) ? encrypted(where, ansibleVault, "a value") : undefined;
}

/** @returns SM-E0228 for sections of which sops has encrypted the values */
export function encryptedSections(
    file: string,
    sections: Readonly<Record<string, unknown>>,
): MigrationError | undefined {
    const metadata = sections["sops"];
    const isSops = typeof metadata === "object" && metadata !== null && "mac" in metadata;
    return isSops ? encrypted(file, sops, "its values") : undefined;
}

function encrypted(where: string, { what, command }: Encryption, part = "the file"): MigrationError {
    const file = where.replace(/:\d+$/, "");
    return new MigrationError("SM-E0228", {
        where,
        found: `${part === "the file" ? "a file" : part} encrypted by ${what}`,
        expected: "the text that Synapse is started with",
        fix: `give the decrypted file that Synapse itself reads; if there is none on this machine: \`${command.replace("FILE", file)}\`, as a file of mode 0600`,
    });
}
