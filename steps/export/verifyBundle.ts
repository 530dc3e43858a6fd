/** Reads every file of the bundle again, to its end, and compares it with the manifest. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { requireOwnBundle, strangersIn } from "../../engine/bundle/write/bundleDirectory.ts";
import {
    artefactsOf,
    bundleManifest,
    readDigested,
    type BundleManifest,
} from "../../engine/bundle/write/bundleManifest.ts";
import { checksumsName, manifestName, notesName, openNames } from "../../engine/bundle/write/bundleNames.ts";
import { compareConfig, compareDatabaseFile, compareFiles } from "../../engine/bundle/write/readBack.ts";
import { compareMediaBackup, compareMediaExport } from "../../engine/media/readBackMedia.ts";
import { verifyBundleContract, type Check } from "../../contract/index.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { registerSecret } from "../../engine/run/redaction.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

export const verifyBundle = defineStep(verifyBundleContract, async (spec, run) => {
    const { bundle, passphrase, manifestDigest } = spec;
    const { directory } = bundle;
    registerSecret(passphrase ?? "");
    await requireOwnBundle(directory, run.directory);
    const manifest = await readDigested(join(directory, manifestName), manifestDigest, bundleManifest);
    const checks = [
        ...(await fileChecks(manifest, directory, run)),
        ...(await contentChecks(manifest, directory, passphrase, run)),
    ];
    await run.evidence({ manifestDigest, checks });
    const failed = checks.filter(({ state }) => state === "failed");
    if (failed.length > 0)
        throw new MigrationError("SM-E0603", {
            where: directory,
            found: failed.map(({ id, evidence }) => `${id}: ${evidence}`).join("\n"),
            expected: "exactly what the manifest of the bundle says",
            changed: "the bundle is as it was; the source is still stopped",
        });
    return {
        proof: createHash("sha256").update(JSON.stringify({ manifestDigest, checks })).digest("hex"),
        passed: checks.filter(({ state }) => state === "passed").length,
        warnings: checks.filter(({ state }) => state === "warning"),
        notRun: checks.filter(({ state }) => state === "not-run"),
    };
});

/** What can be seen without decrypting anything. */
async function fileChecks(manifest: BundleManifest, directory: string, run: StepRun): Promise<Check[]> {
    const artefacts = artefactsOf(manifest);
    const files = artefacts.flatMap((artefact) => artefact.files);
    const names = [...files.map(({ name }) => name), ...openNames];
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    return [
        await outcome("bundle-files", `${files.length} files, ${bytes} bytes, as they were written`, () =>
            run.progress.during("hashing the bundle", () => compareFiles(artefacts, { directory, signal: run.signal })),
        ),
        await outcome("bundle-alone", "nothing else is in the directory", async () =>
            (await strangersIn(directory, names)).map((name) => `${name} is not of the bundle`),
        ),
        await outcome("bundle-checksums", `${checksumsName} names each file with its SHA-256`, () =>
            compareChecksums(manifest, directory),
        ),
    ];
}

async function compareChecksums(manifest: BundleManifest, directory: string): Promise<string[]> {
    const open = await Promise.all(
        [manifestName, notesName].map(async (name) => ({
            name,
            sha256: createHash("sha256")
                .update(await readFile(join(directory, name)))
                .digest("hex"),
        })),
    );
    const files = [...artefactsOf(manifest).flatMap((artefact) => artefact.files), ...open];
    const expected = files.map(({ name, sha256 }) => `${sha256}  ${name}\n`).join("");
    const found = await readFile(join(directory, checksumsName), "utf8");
    return found === expected ? [] : [`${checksumsName} says something else than the files`];
}

/** Checks for which the bundle has to be decrypted. */
async function contentChecks(
    manifest: BundleManifest,
    directory: string,
    passphrase: string | undefined,
    run: StepRun,
): Promise<Check[]> {
    const { database, media, configuration } = manifest;
    const rows = database.tables.reduce((sum, table) => sum + table.rows, 0);
    const checks = [
        {
            id: "bundle-database",
            evidence: `${database.tables.length} tables, ${rows} rows, to the last line of the dump`,
            compare: (options: ReadBack) => compareDatabaseFile(database, options),
        },
        {
            id: "bundle-media-export",
            evidence: `${media.export.media} media in ${media.export.parts.length} archives, each as its manifest says`,
            compare: (options: ReadBack) => compareMediaExport(media.export, manifest.serverName, options),
        },
        {
            id: "bundle-media-backup",
            evidence: `${media.backup.files} files, ${media.backup.bytes} bytes`,
            compare: (options: ReadBack) => compareMediaBackup(media.backup, options),
        },
        {
            id: "bundle-configuration",
            evidence: configuration.files.map(({ name }) => name).join(", "),
            compare: (options: ReadBack) => compareConfig(configuration, options),
        },
    ];
    if (manifest.encryption === "public key" || passphrase === undefined)
        return checks.map(({ id }) => ({
            id,
            state: "not-run",
            evidence: "only the receiver can decrypt it; what went in was compared while it was encrypted",
        }));
    const results: Check[] = [];
    for (const { id, evidence, compare } of checks)
        results.push(
            await outcome(id, evidence, () =>
                run.progress.during(`decrypting and reading ${id}`, () =>
                    compare({ directory, passphrase, runDirectory: run.directory, signal: run.signal }),
                ),
            ),
        );
    return results;
}

type ReadBack = Parameters<typeof compareConfig>[1];

/** Damage is an outcome, too: what else is damaged is looked at as well. */
async function outcome(id: string, evidence: string, compare: () => Promise<readonly string[]>): Promise<Check> {
    try {
        const problems = await compare();
        if (problems.length === 0) return { id, state: "passed", evidence };
        return { id, state: "failed", evidence: problems.slice(0, 3).join("; ") };
    } catch (error) {
        if (!(error instanceof MigrationError)) throw error;
        return { id, state: "failed", evidence: `${error.code} ${error.detail.where}: ${error.detail.found}` };
    }
}
