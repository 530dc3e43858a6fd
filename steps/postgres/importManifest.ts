/** The manifest of an import: what the dump itself says is in it, counted and hashed while it was read. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { count, instant, sha256 } from "../contract/shared.ts";
import { writePrivateFile } from "../hosts/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { digestOf } from "./manifest.ts";
import { definitionShape } from "./catalogue.ts";
import { sequenceShape } from "./sequences.ts";

const importManifestShape = z.strictObject({
    format: z.literal("import-1"),
    run: z.string(),
    serverName: z.string(),
    finishedAt: instant,
    /** The files as they were given, and what was peeled off them. */
    input: z.strictObject({
        files: z.array(z.strictObject({ path: z.string(), bytes: count, sha256 })),
        layers: z.array(z.string()),
    }),
    dump: z.strictObject({ serverVersion: z.string(), programVersion: z.string(), bytes: count, sha256 }),
    /** Of the lines of each COPY block, in whatever order: see `steps/postgres/plainDump/lineDigest.ts`. */
    tables: z.array(
        z.strictObject({
            schema: z.string(),
            name: z.string(),
            columns: z.array(z.string()),
            rows: count,
            bytes: count,
            digest: z.string(),
        }),
    ),
    sequences: z.array(sequenceShape),
    /** As they were right after the dump's last statement. */
    definitions: z.array(definitionShape),
});
export type ImportManifest = z.infer<typeof importManifestShape>;

const fileShape = z.strictObject({ digest: sha256, manifest: importManifestShape });

/** Writes it whole or not at all, mode 0600. @returns its digest */
export async function writeImportManifest(path: string, manifest: ImportManifest): Promise<string> {
    const digest = digestOf(manifest);
    await writePrivateFile(path, `${JSON.stringify({ digest, manifest }, undefined, 1)}\n`);
    return digest;
}

/**
 * @throws MigrationError SM-E0911 when it is missing, damaged, or another one
 */
export async function readImportManifest(path: string, digest: string): Promise<ImportManifest> {
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
    const file = fileShape.safeParse(parsed(text));
    if (!file.success) throw refuse("not the manifest of an import, or a damaged one");
    const actual = digestOf(file.data.manifest);
    if (actual !== digest || file.data.digest !== digest) throw refuse(`a manifest whose digest is ${actual}`);
    return file.data.manifest;
}

function parsed(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}
