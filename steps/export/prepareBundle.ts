/** Makes the directory of the bundle, and refuses what can be refused before the source is stopped. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { recipientOf } from "../../engine/bundle/write/artefact.ts";
import { prepareBundleDirectory, removeBundle } from "../../engine/bundle/write/bundleDirectory.ts";
import { encryptStream } from "../../engine/bundle/gpg/encrypt.ts";
import { prepareBundleContract } from "../../contract/index.ts";
import { programVersion, refuseOldProgram } from "../../engine/postgres/server/clientPrograms.ts";
import { withClient } from "../../engine/postgres/connection.ts";
import { readDatabaseFacts } from "../../engine/postgres/server/serverFacts.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { throwAll } from "../../engine/run/errors.ts";
import { registerSecret } from "../../engine/run/redaction.ts";
import { defineStep } from "../../engine/run/step.ts";
import { compareSecrets } from "../../engine/synapse/secrets/compareSecrets.ts";
import { readHomeserverSecrets } from "../../engine/synapse/secrets/homeserverSecrets.ts";
import { parseSigningKeys, verifyKeysOf } from "../../engine/synapse/secrets/signingKey.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";

const step = "prepare-bundle";

export const prepareBundle = defineStep(
    prepareBundleContract,
    async (spec, run) => {
        const { source, bundle, passphrase, signingKey, pepper, macaroonSecretKey } = spec;
        for (const secret of [signingKey, pepper, macaroonSecretKey, passphrase]) registerSecret(secret ?? "");
        const config = await readSourceConfig(source);
        const signingKeys = parseSigningKeys(signingKey, "config signingKey");
        const secrets = await readHomeserverSecrets(config);
        throwAll(compareSecrets({ signingKeys, pepper, macaroonSecretKey }, secrets, config.files.join(", ")));

        const program = await programVersion(spec.clientDirectory, "pg_dump");
        const facts = await withClient(await sourceAddress(source), { step, readOnly: true }, readDatabaseFacts);
        refuseOldProgram("pg_dump", program, facts.versionNumber);

        await tryEncryption(join(run.directory, "encryption-try.gpg"), recipientOf({ bundle, passphrase }), run);
        await prepareBundleDirectory(bundle.directory, run.directory);
        const verifyKeys = verifyKeysOf(signingKeys);
        await run.evidence({
            verifyKeys,
            encryptedTo: bundle.recipientKeyFile ?? "a passphrase",
            pgDump: program.text,
        });
        return { directory: bundle.directory, verifyKeys };
    },
    async ({ bundle }, run) => {
        if (!(await removeBundle(bundle.directory, run.directory)))
            run.progress.note(`${bundle.directory} stays: it holds something that is not of this run's bundle`);
    },
);

/** A receiver's key that cannot be used is found out while the source still serves. */
async function tryEncryption(
    destination: string,
    recipient: ReturnType<typeof recipientOf>,
    run: { readonly directory: string; readonly signal: AbortSignal },
): Promise<void> {
    await rm(destination, { force: true });
    try {
        await encryptStream(oneLine(), { recipient, destination, workDirectory: run.directory, signal: run.signal });
    } finally {
        await rm(destination, { force: true });
    }
}

async function* oneLine(): AsyncGenerator<Buffer, void> {
    yield await Promise.resolve(Buffer.from("synapse-migration\n"));
}
