/** What makes an installed homeserver the one that was moved: settings of its configuration that say who it is. Everything else is its own. */
import { isMapping } from "../synapse/config/configTree.ts";

export type Sections = Readonly<Record<string, unknown>>;

/** Who the homeserver is that was moved. */
export interface MovedIdentity {
    /** As the step `secrets` has written them: macaroon and form secret, and the section with the pepper. */
    readonly secrets: Sections;
    /** `old_signing_keys` of the source: public halves of retired keys, by key id. */
    readonly oldSigningKeys: Readonly<Record<string, { readonly key: string; readonly expiredTs: number }>>;
    /** Lines of the signing key file; the configuration has them only where the installed one has its own there. */
    readonly signingKey: string;
}

/**
 * Settings that are to be read after all others. `null` takes away what the installed configuration says under that key: a secret that is
 * given twice, or that the source does not have.
 */
export function identitySettings(installed: Sections, moved: MovedIdentity): Record<string, unknown> {
    return {
        ...(inline(installed["signing_key"]) ? { signing_key: moved.signingKey } : {}),
        ...retiredKeys(installed, moved),
        ...secretSetting(installed, moved.secrets, "macaroon_secret_key"),
        ...derivedMacaroon(installed, moved.secrets),
        ...secretSetting(installed, moved.secrets, "form_secret"),
        ...pepperSetting(installed, moved.secrets),
    };
}

const inline = (value: unknown): boolean => typeof value === "string" && value !== "";

function retiredKeys(installed: Sections, { oldSigningKeys }: MovedIdentity): Record<string, unknown> {
    const keys = Object.entries(oldSigningKeys).map(([id, { key, expiredTs }]) => [id, { key, expired_ts: expiredTs }]);
    // Those that the installer's own server may have are of a server that nobody has met.
    if (keys.length === 0 && !("old_signing_keys" in installed)) return {};
    return { old_signing_keys: Object.fromEntries(keys) as Record<string, unknown> };
}

/**
 * A source without a macaroon secret has it made of its signing key. Synapse would take the registration secret first, so that has to go where
 * the installer has made one.
 */
function derivedMacaroon(installed: Sections, secrets: Sections): Record<string, unknown> {
    if (inline(secrets["macaroon_secret_key"])) return {};
    const keys = ["registration_shared_secret", "registration_shared_secret_path"];
    return Object.fromEntries(keys.filter((key) => key in installed).map((key) => [key, null]));
}

function secretSetting(installed: Sections, secrets: Sections, key: string): Record<string, unknown> {
    const value = secrets[key];
    const file = `${key}_path`;
    return {
        ...(inline(value) ? { [key]: value } : key in installed ? { [key]: null } : {}),
        ...(file in installed ? { [file]: null } : {}),
    };
}

/** The section is replaced as a whole, so what else the installed one says there is said again. */
function pepperSetting(installed: Sections, secrets: Sections): Record<string, unknown> {
    const own = isMapping(installed["password_config"]) ? installed["password_config"] : {};
    const carried = isMapping(secrets["password_config"]) ? secrets["password_config"] : {};
    if (own["pepper"] === carried["pepper"]) return {};
    const rest = Object.fromEntries(Object.entries(own).filter(([key]) => key !== "pepper"));
    return { password_config: { ...rest, ...("pepper" in carried ? { pepper: carried["pepper"] } : {}) } };
}
