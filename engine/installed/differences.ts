/** What the source's configuration says and the installed one does not: it is the installer's, and nothing of it but the identity is replaced. */
import { isDeepStrictEqual } from "node:util";
import type { Finding } from "../../contract/index.ts";
import { finding } from "../run/finding.ts";
import { isLeftOut, isWorkerSetting } from "../synapse/config/movedSettings.ts";

/** Of a homeserver's identity, which is written; and what differs on every machine. */
const elsewhere: ReadonlySet<string> = new Set([
    "server_name",
    "password_config",
    "macaroon_secret_key",
    "macaroon_secret_key_path",
    "form_secret",
    "form_secret_path",
    "old_signing_keys",
    "registration_shared_secret",
    "registration_shared_secret_path",
    "public_baseurl",
    "report_stats",
    "trusted_key_servers",
    "suppress_key_server_warning",
    "media_storage_providers",
]);

/** @returns SM-W1607 where there are any */
export function lackingSettings(
    source: Readonly<Record<string, unknown>>,
    installed: Readonly<Record<string, unknown>>,
): Finding[] {
    const lacking = differences(source, installed);
    return lacking.length === 0 ? [] : [finding("SM-W1607", lacking.join(", "))];
}

/** Names of settings of the source that the installed homeserver has not, or otherwise; sorted. Values are left out: some are secret. */
function differences(
    source: Readonly<Record<string, unknown>>,
    installed: Readonly<Record<string, unknown>>,
): string[] {
    return Object.keys(source)
        .filter((key) => !elsewhere.has(key) && !isLeftOut(key) && !isWorkerSetting(key))
        .filter((key) => !isDeepStrictEqual(source[key] ?? null, installed[key] ?? null))
        .sort();
}
