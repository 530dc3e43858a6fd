/** What of a homeserver's configuration another provider gets: what makes it this homeserver, and none of its other secrets. Pure. */
import { isMapping, without } from "../../synapse/config/configTree.ts";
import { isLeftOut } from "../../synapse/config/movedSettings.ts";

export interface HandedConfig {
    readonly sections: Readonly<Record<string, unknown>>;
    /** `registration_shared_secret`, `email.smtp_pass`: settings that do not go, never their values. */
    readonly leftOut: readonly string[];
}

/** What signs and proves for the homeserver in the receiver's hands. */
export interface HandedIdentity {
    /** Absent where the source has none. */
    readonly pepper: string | undefined;
    /** Absent where Synapse derives it from the signing key. */
    readonly macaroonSecretKey: string | undefined;
}

/** Text under such a name is taken for a secret, and left out: one too many is asked for, one too few is given away. */
const secretName =
    /secret|passw|pepper|token|_pass$|private_key|access_key|api_key|credential|^key$|^dsn$|certificate/i;
/** A file of the source's machine: of no use anywhere else, and what is in it does not go. */
const fileName = /(_path|_file|_files|_dir|_directory)$/;
/** `scheme://user:password@host` */
const urlWithPassword = /:\/\/[^/\s@]*:[^/\s@]*@/;

/**
 * Leaves out what belongs to the source's machine, everything that may be a secret, and then puts back what the homeserver's identity needs.
 *
 * @param sections  effective ones, as Synapse has them
 */
export function handedConfig(
    sections: Readonly<Record<string, unknown>>,
    { pepper, macaroonSecretKey }: HandedIdentity,
): HandedConfig {
    const leftOut: string[] = Object.keys(sections).filter(isLeftOut);
    const kept = cleaned(without(sections, isLeftOut), [], leftOut);
    const mapping = isMapping(kept) ? kept : {};
    const password = mapping["password_config"];
    return {
        sections: {
            ...mapping,
            ...(pepper === undefined ? {} : { password_config: { ...(isMapping(password) ? password : {}), pepper } }),
            ...(macaroonSecretKey === undefined ? {} : { macaroon_secret_key: macaroonSecretKey }),
        },
        leftOut: leftOut
            .filter((setting) => setting !== "password_config.pepper" && setting !== "macaroon_secret_key")
            .sort(),
    };
}

function cleaned(value: unknown, path: readonly string[], leftOut: string[]): unknown {
    if (Array.isArray(value))
        return value.flatMap((element: unknown, index) => {
            const below = cleaned(element, [...path, String(index)], leftOut);
            return below === undefined ? [] : [below];
        });
    if (isMapping(value))
        return Object.fromEntries(
            Object.entries(value).flatMap(([key, below]) => {
                const here = [...path, key];
                // Public halves, though each is called `key`.
                if (path.length === 0 && key === "old_signing_keys") return [[key, below]];
                if (isUnfit(key, below)) {
                    leftOut.push(here.join("."));
                    return [];
                }
                const rest = cleaned(below, here, leftOut);
                return rest === undefined ? [] : [[key, rest]];
            }),
        );
    if (typeof value === "string" && urlWithPassword.test(value)) {
        leftOut.push(path.join("."));
        return undefined;
    }
    return value;
}

function isUnfit(key: string, value: unknown): boolean {
    const isText = typeof value === "string" ? value !== "" : isListOfText(value);
    return isText && (secretName.test(key) || fileName.test(key));
}

const isListOfText = (value: unknown): boolean =>
    Array.isArray(value) && value.some((element: unknown) => typeof element === "string");
