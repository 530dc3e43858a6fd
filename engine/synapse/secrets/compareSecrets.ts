/** Whether the secrets that were given are those the source uses. A pure rule; its errors name no secret. */
import { MigrationError } from "../../run/errors.ts";
import type { HomeserverSecrets } from "./homeserverSecrets.ts";
import { verifyKeysOf, type SigningKey } from "./signingKey.ts";

export interface GivenSecrets {
    readonly signingKeys: readonly SigningKey[];
    readonly pepper: string | undefined;
    /** Empty is the same as absent, as it is to Synapse. */
    readonly macaroonSecretKey: string | undefined;
}

/** @returns SM-E0811 or SM-E0817 for the signing key, SM-E0820 for the pepper, SM-E0830 for the macaroon secret */
export function compareSecrets(given: GivenSecrets, source: HomeserverSecrets, where: string): MigrationError[] {
    return [
        ...compareSigningKeys(given.signingKeys, source.signingKeys, where),
        ...comparePepper(given.pepper, source.pepper, where),
        ...compareMacaroonSecret(given.macaroonSecretKey, source, where),
    ];
}

function compareSigningKeys(
    given: readonly SigningKey[],
    source: HomeserverSecrets["signingKeys"],
    where: string,
): MigrationError[] {
    const publicKeys = new Set(source.map((key) => key.verifyKey));
    const swapped = given.find((key) => publicKeys.has(key.seed.toString("base64").replace(/=+$/, "")));
    if (swapped !== undefined) {
        return [
            new MigrationError("SM-E0811", {
                where: "config signingKey",
                found: `the public half of the source's ${swapped.id} in place of its seed`,
            }),
        ];
    }
    // The order counts: the first key signs, and Synapse may derive its macaroon secret from it.
    const show = (keys: readonly SigningKey[]): string => JSON.stringify(verifyKeysOf(keys));
    if (show(given) === show(source)) return [];
    return [
        new MigrationError("SM-E0817", {
            where: `config signingKey, compared with ${where}`,
            found: `a key with the public half ${show(given)}`,
            expected: show(source),
        }),
    ];
}

function comparePepper(given: string | undefined, source: string | undefined, where: string): MigrationError[] {
    // Absent and empty mix the same nothing into passwords.
    if ((given ?? "") === (source ?? "")) return [];
    const found =
        given === undefined || given === ""
            ? "no pepper is given, and the source has one"
            : source === undefined || source === ""
              ? "a pepper is given, and the source has none"
              : given.trim() === source.trim()
                ? "the given pepper differs in white space at its beginning or end"
                : "another pepper than the source's";
    return [
        new MigrationError("SM-E0820", {
            where: `config pepper, compared with ${where}`,
            found,
            expected: "password_config.pepper of the source, to the last character",
        }),
    ];
}

function compareMacaroonSecret(
    given: string | undefined,
    { macaroon }: HomeserverSecrets,
    where: string,
): MigrationError[] {
    if ((given ?? "") === (macaroon.value ?? "")) return [];
    const explanation = {
        macaroon_secret_key: "the source's macaroon_secret_key",
        registration_shared_secret:
            "the source has no macaroon_secret_key, so Synapse falls back to its registration_shared_secret; give that value",
        "signing key":
            "the source has neither macaroon_secret_key nor registration_shared_secret, so Synapse derives the secret from the " +
            "signing key; leave macaroonSecretKey empty, and the target derives the same",
    }[macaroon.origin];
    return [
        new MigrationError("SM-E0830", {
            where: `config macaroonSecretKey, compared with ${where}`,
            found:
                given === undefined || given === ""
                    ? "no macaroon secret is given"
                    : "another secret than the source uses",
            expected: explanation,
        }),
    ];
}
