/** Step `secrets`: compares signing key, pepper and macaroon secret with the source's, then puts all secrets into private files. */
import { join } from "node:path";
import { secretsContract } from "../../contract/index.ts";
import { throwAll } from "../../engine/run/errors.ts";
import { registerSecret } from "../../engine/run/redaction.ts";
import { runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import { contentDigester } from "../../engine/run/specDigest.ts";
import { defineStep } from "../../engine/run/step.ts";
import { carriedSections } from "../../engine/synapse/config/movedSections.ts";
import { compareSecrets } from "../../engine/synapse/secrets/compareSecrets.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import {
    readHomeserverSecrets,
    secretsOfBundle,
    type HomeserverSecrets,
} from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { secretsFileName, secretsFileText } from "../../engine/synapse/secrets/secretsFile.ts";
import { formatSigningKeys, parseSigningKeys, verifyKeysOf } from "../../engine/synapse/secrets/signingKey.ts";
import { removeTargetFiles, writeTargetFiles } from "../../engine/synapse/config/targetFiles.ts";
import { removeLeftBehind } from "../../engine/synapse/config/triedConfiguration.ts";

/**
 * Writes `<serverName>.signing.key` and `secrets.yaml` into the target's directory, mode 0600, as the user Synapse runs as.
 *
 * Nothing is generated: a secret that is missing or differs is an error before anything is written.
 */
export const secrets = defineStep(
    secretsContract,
    async (spec, run) => {
        for (const secret of [spec.signingKey, spec.pepper, spec.macaroonSecretKey]) registerSecret(secret ?? "");
        if (spec.mediaStorageProvider?.kind === "s3") registerSecret(spec.mediaStorageProvider.secretAccessKey ?? "");
        const config = await readSourceConfig(spec.source);
        const signingKeys = parseSigningKeys(spec.signingKey, "config signingKey");
        const given = { signingKeys, pepper: spec.pepper, macaroonSecretKey: spec.macaroonSecretKey };
        const source =
            spec.source.kind === "selfHosted" ? await readHomeserverSecrets(config) : secretsOfBundle(given, config);
        throwAll(compareSecrets(given, source, config.files.join(", ")));
        for (const { id, evidence, fix } of source.findings) run.progress.say(`${id} ${evidence}. ${fix}`);

        const { open, secret } = await carriedSections(config, spec);
        const signingKeyFile = join(spec.targetDirectory, `${spec.source.serverName}.signing.key`);
        const secretsFile = join(spec.targetDirectory, secretsFileName);
        const contents = new Map([
            [signingKeyFile, formatSigningKeys(signingKeys)],
            [secretsFile, secretsFileText(source, { open, secret })],
        ]);
        const digest = await contentDigester(runDirectoryPaths(run.directory).digestKey);
        const targetFiles = await writeTargetFiles(
            spec.targetDirectory,
            "secrets",
            run.id,
            { contents },
            { user: spec.user, say: run.progress.say.bind(run.progress), digest },
        );
        const verifyKeys = verifyKeysOf(signingKeys);
        await run.evidence({
            verifyKeys,
            macaroonSecret: macaroonOrigin(source, secret),
            pepper: source.pepper === undefined ? "absent" : source.pepper === "" ? "empty" : "set",
            targetFiles,
            sections: Object.keys(secret).sort(),
            findings: source.findings,
        });
        return { signingKeyFile, secretsFile, verifyKeys };
    },
    async (spec, run) => {
        await removeTargetFiles(spec.targetDirectory, "secrets", run.id);
        await removeLeftBehind();
    },
);

/** A backup's configuration may have the secret that nobody gave. */
function macaroonOrigin({ macaroon }: HomeserverSecrets, carried: Readonly<Record<string, unknown>>): string {
    const fromConfiguration = macaroon.value === undefined && typeof carried["macaroon_secret_key"] === "string";
    return fromConfiguration ? "configuration" : macaroon.origin;
}
