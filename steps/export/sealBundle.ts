/** Puts the manifest, the checksums and the receiver's notes beside the encrypted files. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import {
    removeArtefact,
    requireOwnBundle,
    strangersIn,
    takeBackArtefact,
} from "../../engine/bundle/write/bundleDirectory.ts";
import {
    artefactsOf,
    configSection,
    databaseSection,
    mediaSection,
    readSection,
    type BundleManifest,
} from "../../engine/bundle/write/bundleManifest.ts";
import { checksumsName, manifestName, notesName, openNames } from "../../engine/bundle/write/bundleNames.ts";
import { receiverNotes } from "../../engine/bundle/write/receiverNotes.ts";
import { sealBundleContract } from "../../contract/index.ts";
import { writePrivateFile } from "../../engine/run/atomicFile.ts";
import { digestOf } from "../../engine/postgres/compare/manifestFile.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep } from "../../engine/run/step.ts";

export const sealBundle = defineStep(
    sealBundleContract,
    async (spec, run) => {
        const { directory, recipientKeyFile } = spec.bundle;
        await requireOwnBundle(directory, run.directory);
        const manifest: BundleManifest = {
            format: "synapse-migration-bundle-1",
            serverName: spec.serverName,
            run: run.id,
            madeAt: await run.recorded("made-at", () => Promise.resolve(new Date().toISOString())),
            fencedAt: spec.fencedAt ?? null,
            encryption: recipientKeyFile === undefined ? "passphrase" : "public key",
            verifyKeys: spec.verifyKeys,
            database: await readSection(spec.database, databaseSection),
            media: await readSection(spec.media, mediaSection),
            configuration: await readSection(spec.configuration, configSection),
        };
        const files = artefactsOf(manifest).flatMap((artefact) => artefact.files);
        for (const name of openNames) await removeArtefact(directory, name);
        await refuseStrangers(
            directory,
            files.map(({ name }) => name),
        );
        const manifestText = `${JSON.stringify(manifest, undefined, 1)}\n`;
        const notes = receiverNotes(manifest);
        const checksums = [
            ...files.map(({ name, sha256 }) => ({ name, sha256 })),
            { name: manifestName, sha256: sha256Of(manifestText) },
            { name: notesName, sha256: sha256Of(notes) },
        ];
        await writePrivateFile(join(directory, manifestName), manifestText);
        await writePrivateFile(join(directory, notesName), notes);
        // Last: where it is, everything is.
        await writePrivateFile(
            join(directory, checksumsName),
            checksums.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join(""),
        );
        const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
        const manifestDigest = digestOf(manifest);
        await run.evidence({ manifestDigest, files: checksums, bytes });
        return { manifestFile: join(directory, manifestName), manifestDigest, files: checksums.length + 1, bytes };
    },
    async ({ bundle }, run) => {
        for (const name of [...openNames].reverse()) await takeBackArtefact(bundle.directory, name, run.directory);
    },
);

async function refuseStrangers(directory: string, files: readonly string[]): Promise<void> {
    const strangers = await strangersIn(directory, files);
    if (strangers.length === 0) return;
    throw new MigrationError("SM-E0713", {
        where: directory,
        found: `${strangers.length} entries that are not of the bundle: ${strangers.slice(0, 3).join(", ")}`,
        expected: "the bundle and nothing else: all of it is sent",
        fix: "move them away, then run the same command again",
    });
}

const sha256Of = (text: string): string => createHash("sha256").update(text).digest("hex");
