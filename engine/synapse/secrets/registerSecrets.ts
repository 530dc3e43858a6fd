/** Has what a homeserver's configuration holds of secrets hidden wherever this process says it: Synapse quotes what it refuses. */
import { registerSecret } from "../../run/redaction.ts";
import { isMapping } from "../config/configTree.ts";
import type { HomeserverConfig } from "../config/homeserverConfig.ts";
import { parseSynapseYaml } from "../config/pythonYaml.ts";
import { inlineSecrets } from "./inlineSecrets.ts";
import { secretName } from "./secretSettings.ts";

const largestRegistrationBytes = 4 * 1024 * 1024;

/**
 * Those of its own sections, of the files that they name, and the tokens of application services.
 *
 * @throws MigrationError SM-E1003 for a file with a secret
 */
export async function registerSecrets(
    config: Pick<HomeserverConfig, "machine" | "sections" | "directory" | "paths" | "appServiceConfigFiles">,
): Promise<void> {
    registerBelow("", await inlineSecrets(config));
    for (const file of config.appServiceConfigFiles) {
        const read = await config.machine.files.read(file, { atMost: largestRegistrationBytes }).catch(() => undefined);
        registerBelow("", parseSynapseYaml(file, read?.content.toString("utf8") ?? "")?.sections);
    }
}

function registerBelow(name: string, value: unknown): void {
    if (typeof value === "string" && secretName.test(name)) registerSecret(value);
    else if (Array.isArray(value)) for (const element of value as unknown[]) registerBelow(name, element);
    else if (isMapping(value)) for (const [key, below] of Object.entries(value)) registerBelow(key, below);
}
