/** Has what a homeserver's configuration holds of secrets hidden wherever this process says it: Synapse quotes what it refuses. */
import { readFile } from "node:fs/promises";
import { registerSecret } from "../../run/redaction.ts";
import { isMapping } from "../config/configTree.ts";
import type { HomeserverConfig } from "../config/homeserverConfig.ts";
import { parseSynapseYaml } from "../config/pythonYaml.ts";
import { inlineSecrets } from "./inlineSecrets.ts";
import { secretName } from "./secretSettings.ts";

/**
 * Those of its own sections, of the files that they name, and the tokens of application services.
 *
 * @throws MigrationError SM-E1003 for a file with a secret
 */
export async function registerSecrets(
    config: Pick<HomeserverConfig, "sections" | "directory" | "paths" | "appServiceConfigFiles">,
): Promise<void> {
    registerBelow("", await inlineSecrets(config));
    for (const file of config.appServiceConfigFiles) {
        const text = await readFile(file, "utf8").catch(() => "");
        registerBelow("", parseSynapseYaml(file, text)?.sections);
    }
}

function registerBelow(name: string, value: unknown): void {
    if (typeof value === "string" && secretName.test(name)) registerSecret(value);
    else if (Array.isArray(value)) for (const element of value as unknown[]) registerBelow(name, element);
    else if (isMapping(value)) for (const [key, below] of Object.entries(value)) registerBelow(key, below);
}
