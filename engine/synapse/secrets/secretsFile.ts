/** The configuration file that holds all secrets of the target. */
import { isMapping } from "../config/configTree.ts";
import type { CarriedSections } from "../config/movedSections.ts";
import { stringifySynapseYaml } from "../config/pythonYaml.ts";
import type { HomeserverSecrets } from "./homeserverSecrets.ts";

/** Beside `homeserver.yaml`. */
export const secretsFileName = "secrets.yaml";

/** What the configuration has, and in its place what is in force. */
export function secretsFileText(
    source: HomeserverSecrets,
    { open, secret }: Pick<CarriedSections, "open" | "secret">,
): string {
    const text =
        "# The homeserver's secrets. Written by synapse-migrate; whoever reads this file can act as the homeserver.\n";
    return text + stringifySynapseYaml({ ...secret, ...effectiveMacaroon(source), ...peppered(source, open, secret) });
}

/** Written out where Synapse takes it from elsewhere, so that a later change of that other setting changes nothing. */
function effectiveMacaroon({ macaroon }: HomeserverSecrets): { macaroon_secret_key?: string } {
    return macaroon.value === undefined ? {} : { macaroon_secret_key: macaroon.value };
}

/** Where the configuration does not have it, because it comes without one, or with that of a server that was never used. */
function peppered({ pepper }: HomeserverSecrets, ...carried: readonly Readonly<Record<string, unknown>>[]): object {
    const sections = carried.map((all) => all["password_config"]).filter(isMapping);
    if (pepper === undefined || sections.some((section) => section["pepper"] === pepper)) return {};
    return { password_config: { ...sections.reduce((all, section) => ({ ...all, ...section }), {}), pepper } };
}
