/** Puts configuration and identity of the source into the bundle, in one encrypted file. */
import { createHash } from "node:crypto";
import { pack } from "tar-stream";
import { requireOwnBundle, takeBackArtefact } from "../../engine/bundle/write/bundleDirectory.ts";
import { keepSection, type ConfigSection } from "../../engine/bundle/write/bundleManifest.ts";
import { configFolder, configName } from "../../engine/bundle/write/bundleNames.ts";
import { writeArtefact } from "../../engine/bundle/write/artefact.ts";
import { handedConfig } from "../../engine/bundle/write/handedConfig.ts";
import type { Bytes } from "../../engine/bundle/streams/byteReader.ts";
import { exportConfigContract } from "../../contract/index.ts";
import { defineStep } from "../../engine/run/step.ts";
import { readHomeserverSecrets } from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { stringifySynapseYaml } from "../../engine/synapse/config/pythonYaml.ts";
import { formatSigningKeys } from "../../engine/synapse/secrets/signingKey.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";

const heading =
    "# What makes this homeserver the one it is: whoever has this file and the signing key beside it can act as it.\n" +
    "# Other secrets of the old server were left out; manifest.json names them.\n";

export const exportConfig = defineStep(
    exportConfigContract,
    async ({ source, bundle, passphrase }, run) => {
        await requireOwnBundle(bundle.directory, run.directory);
        const began = performance.now();
        const config = await readSourceConfig(source);
        const { pepper, macaroon, signingKeys } = await readHomeserverSecrets(config);
        const { sections, leftOut } = handedConfig(config.sections, { pepper, macaroonSecretKey: macaroon.value });
        const contents = new Map([
            ["homeserver.yaml", Buffer.from(heading + stringifySynapseYaml(sections))],
            [`${source.serverName}.signing.key`, Buffer.from(formatSigningKeys(signingKeys))],
        ]);
        const place = { bundle, passphrase, runDirectory: run.directory, signal: run.signal };
        const artefact = await writeArtefact(configName, tarOf(contents), "rows", place);
        const files = [...contents].map(([name, content]) => ({
            name: `${configFolder}/${name}`,
            bytes: content.length,
            sha256: createHash("sha256").update(content).digest("hex"),
        }));
        const section: ConfigSection = { artefact, files, leftOut: [...leftOut] };
        const seconds = (performance.now() - began) / 1000;
        await run.evidence({ ...section, macaroonSecret: macaroon.origin, seconds });
        return keepSection("configuration", section, [artefact], seconds, run.directory);
    },
    ({ bundle }, run) => takeBackArtefact(bundle.directory, configName, run.directory),
);

/** In memory only. */
async function* tarOf(contents: ReadonlyMap<string, Buffer>): AsyncGenerator<Buffer, void> {
    const archive = pack();
    for (const [name, content] of contents) archive.entry({ name: `${configFolder}/${name}`, mode: 0o600 }, content);
    archive.finalize();
    for await (const chunk of archive as Bytes) yield chunk;
}
