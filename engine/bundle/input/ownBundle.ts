/** Tells whether a directory is a bundle of this program, by its manifest. */
import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";
import { bundleManifest, type BundleManifest } from "../write/bundleManifest.ts";
import { manifestName } from "../write/bundleNames.ts";
import { refuseOtherChecksums, type ChecksumOptions } from "./checksums.ts";

/** Of a homeserver with some hundred tables it is a hundredth of this. */
const largestManifest = 64 * 1024 * 1024;
const ofThisProgram = z.looseObject({ format: z.string().startsWith("synapse-migration-bundle-") });

/**
 * @returns undefined for anything else
 * @throws MigrationError SM-E0911 for a manifest that is damaged, or of another version of this program; SM-E0932 when it is not the one
 *     that `SHA256SUMS` beside it is of
 */
export async function ownBundleIn(
    directory: string,
    options: ChecksumOptions = {},
): Promise<BundleManifest | undefined> {
    const path = join(directory, manifestName);
    const status = await lstat(path).catch(() => undefined);
    if (status?.isFile() !== true || status.size > largestManifest) return undefined;
    const content = parseJson(await readFile(path, "utf8"));
    if (!ofThisProgram.safeParse(content).success) return undefined;
    await refuseOtherChecksums([path], options);
    const manifest = bundleManifest.safeParse(content);
    if (manifest.success) return manifest.data;
    throw new MigrationError("SM-E0911", {
        where: path,
        found: z.prettifyError(manifest.error),
        expected: "the manifest of a bundle, as this version of the program writes it",
    });
}
