/**
 * Whether the passphrase of a stack's secrets is at hand.
 *
 * Pulumi needs it before it starts the program, which therefore can say nothing: a stack is looked at before Pulumi is called,
 * or Pulumi's own words are recognized after it.
 */
import { createDecipheriv, pbkdf2 } from "node:crypto";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { parse } from "yaml";
import { z } from "zod";
import { MigrationError } from "../engine/run/errors.ts";

type Variables = Readonly<Record<string, string | undefined>>;

const stackFile = z.looseObject({ encryptionsalt: z.string().optional() });
const expected = "the passphrase that the stack was made with";
const variable = "PULUMI_CONFIG_PASSPHRASE";

/**
 * SM-E0221 when the secrets of a stack cannot be opened with what the variables say; undefined also when the stack's secrets are
 * not kept by a passphrase.
 *
 * @param file  the stack's file, `stacks/Pulumi.<stack>.yaml`
 */
export async function passphraseProblem(file: string, variables: Variables): Promise<MigrationError | undefined> {
    const { encryptionsalt } = stackFile.parse(parse(await readFile(file, "utf8")) ?? {});
    if (encryptionsalt === undefined) return undefined;
    const problem = (found: string): MigrationError => new MigrationError("SM-E0221", { where: file, found, expected });
    const given = await givenPassphrase(variables);
    if (given === undefined) return problem(`neither ${variable} nor ${variable}_FILE is set`);
    if (given.passphrase === undefined) return problem(`${given.from} cannot be read`);
    if (await opens(encryptionsalt, given.passphrase)) return undefined;
    return problem(`${given.from} holds ${given.passphrase === "" ? "nothing" : "another passphrase"}`);
}

/** As Pulumi looks for it: the variable wins, also when it is empty; a file's surrounding blanks do not count. */
async function givenPassphrase(
    variables: Variables,
): Promise<{ readonly passphrase: string | undefined; readonly from: string } | undefined> {
    const direct = variables[variable];
    if (direct !== undefined) return { passphrase: direct, from: variable };
    const file = variables[`${variable}_FILE`];
    if (file === undefined || file === "") return undefined;
    const text = await readFile(file, "utf8").catch(() => undefined);
    return { passphrase: text?.trim(), from: `the file ${file} of ${variable}_FILE` };
}

const tagBytes = 16;

/**
 * Whether the passphrase decrypts the salt's proof: `v1:<salt>:v1:<nonce>:<the word "pulumi", AES-256-GCM>`, each base64
 * (pulumi sdk/go/common/resource/config/crypt.go and pkg/secrets/passphrase/manager.go). True for a format that is not known:
 * Pulumi judges that one.
 */
async function opens(encryptionSalt: string, passphrase: string): Promise<boolean> {
    const [version, salt, proofVersion, nonce, proof, ...rest] = encryptionSalt.split(":");
    const isKnown = version === "v1" && proofVersion === "v1" && rest.length === 0;
    if (!isKnown || salt === undefined || nonce === undefined || proof === undefined) return true;
    const key = await promisify(pbkdf2)(passphrase, Buffer.from(salt, "base64"), 1_000_000, 32, "sha256");
    const sealed = Buffer.from(proof, "base64");
    const decipher = createDecipheriv("aes-256-gcm", key, Buffer.from(nonce, "base64"));
    try {
        decipher.setAuthTag(sealed.subarray(-tagBytes));
        return (
            `${decipher.update(sealed.subarray(0, -tagBytes)).toString()}${decipher.final().toString()}` === "pulumi"
        );
    } catch {
        return false;
    }
}

/** What the CLI says of a passphrase (pulumi pkg/secrets/passphrase/manager.go). */
const words =
    /passphrase must be set with PULUMI_CONFIG_PASSPHRASE|incorrect passphrase|unable to read PULUMI_CONFIG_PASSPHRASE_FILE/;

/** The error of a failed Pulumi command as SM-E0221 when it failed for the passphrase, else as it is. */
export function passphraseNamed(error: unknown, stack: string): unknown {
    if (!(error instanceof MigrationError)) return error;
    const said = error.detail.found.split("\n").find((line) => words.test(line));
    if (said === undefined) return error;
    return new MigrationError("SM-E0221", {
        where: `stack ${stack}`,
        found: said.trim(),
        expected,
        cause: error,
    });
}
