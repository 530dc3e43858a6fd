/** The secrets that make a homeserver the same one to its users and to other servers, as they are in force. */
import { createHash } from "node:crypto";
import type { Finding } from "../../../contract/index.ts";
import { placeOn } from "../../machines/placeOn.ts";
import { MigrationError, type ErrorDetail } from "../../run/errors.ts";
import type { HomeserverConfig, SecretSetting } from "../config/homeserverConfig.ts";
import { readSourceSecret } from "./readSecretFile.ts";
import { isBanned, parseSigningKeys, type SigningKey } from "./signingKey.ts";

/** Where Synapse's macaroon secret comes from: the first of these that there is (synapse/config/key.py). */
type MacaroonOrigin = "macaroon_secret_key" | "registration_shared_secret" | "signing key";

export interface EffectiveMacaroonSecret {
    readonly origin: MacaroonOrigin;
    /**
     * What `macaroon_secret_key` must be set to for the same tokens to stay valid.
     *
     * Undefined when it is derived from the signing key: Synapse then uses the 32 raw bytes of SHA-256(seed), and takes a
     * configured secret as UTF-8 text, which those bytes are not. Such a secret cannot be written down; it stays the same as
     * long as the first signing key does and neither macaroon_secret_key nor registration_shared_secret is set.
     */
    readonly value: string | undefined;
    /** The bytes that macaroons are signed with. */
    readonly key: Buffer;
}

export interface HomeserverSecrets {
    /** The first one signs. */
    readonly signingKeys: readonly [SigningKey, ...SigningKey[]];
    /** Undefined when absent; Synapse then mixes in nothing, as with an empty one. */
    readonly pepper: string | undefined;
    readonly macaroon: EffectiveMacaroonSecret;
    readonly registrationSharedSecret: string | undefined;
    readonly formSecret: string | undefined;
    /** SM-W0818, SM-W0821, SM-W1003. */
    readonly findings: readonly Finding[];
}

/**
 * Reads the secrets, from files where the configuration names files.
 *
 * @throws MigrationError SM-E1003 for a file, SM-E0810 to SM-E0816 for a signing key
 */
export async function readHomeserverSecrets(config: HomeserverConfig): Promise<HomeserverSecrets> {
    const findings: Finding[] = [];
    const read = async (setting: SecretSetting, name: string): Promise<string> => {
        if ("value" in setting) return setting.value;
        const file = await readSourceSecret(config.machine, setting.path, `${name}_path`);
        findings.push(...file.findings);
        return file.text;
    };
    const stripped = async (setting: SecretSetting | undefined, name: string): Promise<string | undefined> => {
        if (setting === undefined) return undefined;
        const secret = await read(setting, name);
        return "path" in setting ? secret.trim() : secret;
    };
    const signingKeys = parseSigningKeys(
        await read(config.signingKey, "signing_key"),
        "path" in config.signingKey ? placeOn(config.machine, config.signingKey.path) : "signing_key",
    );
    const registrationSharedSecret = await stripped(config.registrationSharedSecret, "registration_shared_secret");
    const macaroonSecretKey = await stripped(config.macaroonSecretKey, "macaroon_secret_key");
    const formSecret = await stripped(config.formSecret, "form_secret");
    findings.push(...bannedKeys(signingKeys));
    if (config.pepper !== undefined && config.pepper.trim() !== config.pepper) findings.push(paddedPepper);
    return {
        signingKeys,
        pepper: config.pepper,
        macaroon: effectiveMacaroonSecret(macaroonSecretKey, registrationSharedSecret, signingKeys[0]),
        registrationSharedSecret,
        formSecret,
        findings,
    };
}

/**
 * The secrets of a homeserver that comes as files: those that came with it. What its configuration has instead may be of a server that was
 * only installed to be moved to, so nothing of it counts; but a pepper that is there and is not the given one is asked about: with the wrong
 * one nobody could log in, and nothing in a dump tells which one that is.
 *
 * @throws MigrationError SM-E0820
 */
export function secretsOfBundle(
    given: {
        readonly signingKeys: HomeserverSecrets["signingKeys"];
        readonly pepper: string | undefined;
        readonly macaroonSecretKey: string | undefined;
    },
    config: Pick<HomeserverConfig, "pepper" | "files">,
): HomeserverSecrets {
    const { signingKeys, pepper, macaroonSecretKey } = given;
    const problem = pepperOfBundle(pepper, config.pepper);
    if (problem !== undefined) throw new MigrationError("SM-E0820", { where: config.files.join(", "), ...problem });
    return {
        signingKeys,
        pepper,
        macaroon: effectiveMacaroonSecret(macaroonSecretKey, undefined, signingKeys[0]),
        registrationSharedSecret: undefined,
        formSecret: undefined,
        findings: [
            ...bannedKeys(signingKeys),
            ...(pepper !== undefined && pepper.trim() !== pepper ? [paddedPepper] : []),
        ],
    };
}

/** What is wrong with the pepper of a bundle, whose configuration may have one. An empty one is none to Synapse. */
export function pepperOfBundle(
    given: string | undefined,
    configured: string | undefined,
): Pick<ErrorDetail, "found" | "expected" | "fix"> | undefined {
    if (!configured || given === configured) return undefined;
    const expected = "the pepper that came with the bundle, as the stack's secret `pepper`";
    if (!given)
        return {
            found: "password_config.pepper is set there, and no pepper is given",
            expected,
            fix: "pulumi config set --secret pepper, or take password_config.pepper out of the file if the bundle's server has none",
        };
    const differs = given.trim() === configured.trim() ? ", by white space at its beginning or end" : "";
    return {
        found: `password_config.pepper is another one there than the stack's${differs}`,
        expected,
        fix: "which one is the bundle's? Set that with pulumi config set --secret pepper, and take password_config.pepper out of the file",
    };
}

/** Synapse's fallback chain; an empty secret counts as none. */
export function effectiveMacaroonSecret(
    macaroonSecretKey: string | undefined,
    registrationSharedSecret: string | undefined,
    signingKey: Pick<SigningKey, "seed">,
): EffectiveMacaroonSecret {
    if (macaroonSecretKey) return configured("macaroon_secret_key", macaroonSecretKey);
    if (registrationSharedSecret) return configured("registration_shared_secret", registrationSharedSecret);
    return {
        origin: "signing key",
        value: undefined,
        key: createHash("sha256").update(signingKey.seed).digest(),
    };
}

function configured(origin: MacaroonOrigin, value: string): EffectiveMacaroonSecret {
    return { origin, value, key: Buffer.from(value, "utf8") };
}

/** SM-W0818 for each key that everyone can sign with; the public halves are enough to tell. */
export function bannedKeys(keys: readonly Pick<SigningKey, "id" | "verifyKey">[]): Finding[] {
    return keys.filter(isBanned).map(({ id, verifyKey }) => ({
        id: "SM-W0818",
        severity: "warning",
        evidence: `the private half of ${id} (${verifyKey}) is publicly known (CVE-2026-24044)`,
        fix: "rotate the key as the advisory ELEMENTSEC-2025-1670 says; until then others can sign as this homeserver",
    }));
}

const paddedPepper: Finding = {
    id: "SM-W0821",
    severity: "warning",
    evidence: "password_config.pepper begins or ends with white space or a line break, and that counts",
    fix: "take it over with `synapse-migrate init`, never by hand",
};

/** Whether the bundle's configuration has another macaroon secret than the stack. A file of it that did not come along says nothing. */
export async function isOtherMacaroon(
    given: string | undefined,
    { machine, macaroonSecretKey: setting }: Pick<HomeserverConfig, "machine" | "macaroonSecretKey">,
): Promise<boolean> {
    if (!given || setting === undefined) return false;
    const configured =
        "value" in setting
            ? setting.value
            : await readSourceSecret(machine, setting.path, "macaroon_secret_key_path").then(
                  ({ text }) => text.trim(),
                  () => "",
              );
    return configured !== "" && configured !== given;
}
