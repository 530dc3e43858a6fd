/** Settings of Synapse that hold secrets, or name files that do: data, read out of synapse/config of 1.163. */

/** A setting that names a file with a secret, and the setting that takes the secret itself. */
interface PathVariant {
    /** Where both are: a section and what is below it, lists included. Empty for the top level. */
    readonly parent: readonly string[];
    readonly pathKey: string;
    readonly valueKey: string;
}

const variant = (parent: string, pathKey: string, valueKey: string): PathVariant => ({
    parent: parent === "" ? [] : parent.split("."),
    pathKey,
    valueKey,
});

/** The secrets that may be in files: written out on the target. Those of workers and redis are missing, as they do not come along. */
export const secretPathVariants: readonly PathVariant[] = [
    variant("", "macaroon_secret_key_path", "macaroon_secret_key"),
    variant("", "registration_shared_secret_path", "registration_shared_secret"),
    variant("", "form_secret_path", "form_secret"),
    variant("", "turn_shared_secret_path", "turn_shared_secret"),
    variant("", "recaptcha_private_key_path", "recaptcha_private_key"),
    variant("", "recaptcha_public_key_path", "recaptcha_public_key"),
    variant("matrix_authentication_service", "secret_path", "secret"),
    variant("experimental_features.msc3861", "client_secret_path", "client_secret"),
    variant("experimental_features.msc3861", "admin_token_path", "admin_token"),
    variant("oidc_config", "client_secret_path", "client_secret"),
    variant("oidc_providers", "client_secret_path", "client_secret"),
    variant("oidc_config.client_secret_jwt_key", "key_file", "key"),
    variant("oidc_providers.client_secret_jwt_key", "key_file", "key"),
];

/** Text under such a name is taken for a secret. One too many does no harm: its section goes into the other file. */
export const secretName = /secret|passw|pepper|token|_pass$|private_key|access_key|credential/i;
