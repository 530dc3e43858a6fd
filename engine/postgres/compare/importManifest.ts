/** The manifest of an import: what the dump itself says is in it, counted and hashed while it was read. */
import { z } from "zod";
import { count, instant, sha256 } from "../../../contract/shared.ts";
import { readManifestFile, writeManifestFile } from "./manifestFile.ts";
import { definitionShape } from "../catalogue/catalogue.ts";
import { sequenceShape } from "../sequences/sequences.ts";

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
    /** Of the lines of each COPY block, in whatever order: see `engine/postgres/plainDump/lineDigest.ts`. */
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
    /** What the dump's own text says of them: see `engine/postgres/plainDump/declared/`. Absent where there was no dump. */
    declared: z.array(definitionShape).optional(),
});
export type ImportManifest = z.infer<typeof importManifestShape>;

/** @returns its digest */
export const writeImportManifest = (path: string, manifest: ImportManifest): Promise<string> =>
    writeManifestFile(path, manifest);

/** @throws MigrationError SM-E0911 when it is missing, damaged, or another one */
export const readImportManifest = (path: string, digest: string): Promise<ImportManifest> =>
    readManifestFile(path, digest, importManifestShape);
