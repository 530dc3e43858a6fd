/** Who the homeserver is that was moved, from the files that the step `secrets` has written. */
import type { Source } from "../../contract/source.ts";
import { readOwnSecret } from "../synapse/secrets/readSecretFile.ts";
import { isMapping } from "../synapse/config/configTree.ts";
import { parseSynapseYaml } from "../synapse/config/pythonYaml.ts";
import { readSourceConfig } from "../synapse/config/sourceConfig.ts";
import type { GivenSecrets } from "../synapse/secrets/compareSecrets.ts";
import { parseSigningKeys } from "../synapse/secrets/signingKey.ts";
import type { MovedIdentity } from "./identitySettings.ts";

export interface IdentityFiles {
    readonly source: Source;
    readonly signingKeyFile: string;
    readonly secretsFile: string;
}

export async function movedIdentity({
    source,
    signingKeyFile,
    secretsFile,
}: IdentityFiles): Promise<{ readonly moved: MovedIdentity; readonly given: GivenSecrets }> {
    const signingKey = await readOwnSecret(signingKeyFile, "signingKeyFile");
    const secrets = parseSynapseYaml(secretsFile, await readOwnSecret(secretsFile, "secretsFile"))?.sections ?? {};
    const { oldSigningKeys } = await readSourceConfig(source);
    const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);
    const passwords = secrets["password_config"];
    return {
        moved: { signingKey, secrets, oldSigningKeys },
        given: {
            signingKeys: parseSigningKeys(signingKey, signingKeyFile),
            pepper: isMapping(passwords) ? text(passwords["pepper"]) : undefined,
            macaroonSecretKey: text(secrets["macaroon_secret_key"]),
        },
    };
}
