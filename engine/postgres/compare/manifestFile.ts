/** A manifest in a file: its digest beside it, so that it is known to be whole, and to be the one that was asked for. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { sha256 } from "../../../contract/shared.ts";
import { writePrivateFile } from "../../run/atomicFile.ts";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";

const fileShape = z.strictObject({ digest: sha256, manifest: z.unknown() });

/** SHA-256 of the canonical form of a manifest: JSON without spaces, keys sorted by code unit. */
export function digestOf(manifest: object): string {
    return createHash("sha256").update(sortedJson(manifest)).digest("hex");
}

/** Writes it whole or not at all, mode 0600. @returns its digest */
export async function writeManifestFile(path: string, manifest: object): Promise<string> {
    const digest = digestOf(manifest);
    await writePrivateFile(path, `${JSON.stringify({ digest, manifest }, undefined, 1)}\n`);
    return digest;
}

/**
 * Reads a manifest and makes sure that it is the one that was asked for.
 *
 * @throws MigrationError SM-E0911 when it is missing, damaged, or another one
 */
export async function readManifestFile<T extends object>(
    path: string,
    digest: string,
    shape: z.ZodType<T>,
): Promise<T> {
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0911", {
            where: path,
            found,
            expected: `the manifest with the digest ${digest}`,
            cause,
        });
    const text = await readFile(path, "utf8").catch((error: unknown) => {
        throw refuse(error instanceof Error ? error.message : String(error), error);
    });
    const file = fileShape.safeParse(parseJson(text));
    const manifest = file.success ? shape.safeParse(file.data.manifest) : undefined;
    if (!file.success || manifest?.success !== true) throw refuse("not the manifest meant here, or a damaged one");
    const actual = digestOf(manifest.data);
    if (actual !== file.data.digest)
        throw refuse(`a content whose digest is ${actual}, and not ${file.data.digest} as written beside it`);
    if (actual !== digest) throw refuse(`a manifest whose digest is ${actual}`);
    return manifest.data;
}

function sortedJson(value: unknown): string {
    if (Array.isArray(value)) return `[${value.map(sortedJson).join(",")}]`;
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const fields = Object.entries(value)
        .filter(([, field]) => field !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, field]) => `${JSON.stringify(key)}:${sortedJson(field)}`);
    return `{${fields.join(",")}}`;
}
