/** The manifest of a dump or a copy: what is in it, so that nothing has to be believed of the programs that wrote and read it. */
import { dirname, join } from "node:path";
import { z } from "zod";
import { count, instant, seconds, sha256 } from "../../../contract/shared.ts";
import { definitionShape } from "../catalogue/catalogue.ts";
import { tableFingerprintShape } from "./fingerprint.ts";
import { MigrationError } from "../../run/errors.ts";
import { digestOf, readManifestFile, writeManifestFile } from "./manifestFile.ts";
import { sequenceShape } from "../sequences/sequences.ts";

const manifestShape = z.strictObject({
    format: z.literal(1),
    run: z.string(),
    /** Empty where nobody knows whose data it is: of a database that is replaced. */
    serverName: z.string(),
    /** Whether the source was fenced, and so nothing was written after the snapshot. */
    fenced: z.boolean(),
    startedAt: instant,
    finishedAt: instant,
    seconds,
    /** As `pg_export_snapshot()` named it; of use only while the dump ran. */
    snapshot: z.string(),
    database: z.strictObject({
        name: z.string(),
        owner: z.string(),
        encoding: z.string(),
        collate: z.string(),
        ctype: z.string(),
        serverVersion: z.string(),
        serverVersionNumber: count,
        systemIdentifier: z.string().nullable(),
        oid: z.string(),
    }),
    /** Absent where the database need not be Synapse's: of one that is replaced. */
    synapse: z.strictObject({ schemaVersion: count, compatVersion: count.nullable() }).optional(),
    /** Of pg_dump, for example "15.18". */
    programVersion: z.string(),
    compression: z.string(),
    tables: z.array(tableFingerprintShape),
    sequences: z.array(sequenceShape),
    definitions: z.array(definitionShape),
    /** Directory of the files, relative to the manifest's own. Absent where rows went from server to server: then there are no files. */
    directory: z
        .string()
        .regex(/^[a-z0-9._-]+$/)
        .optional(),
    files: z.array(z.strictObject({ path: z.string().regex(/^[A-Za-z0-9._-]+$/), bytes: count, sha256 })),
});
export type Manifest = z.infer<typeof manifestShape>;

export const manifestDigest = (manifest: Manifest): string => digestOf(manifest);

export const writeManifest = (path: string, manifest: Manifest): Promise<string> => writeManifestFile(path, manifest);

/** @throws MigrationError SM-E0911 when it is missing, damaged, or another one */
export const readManifest = (path: string, digest: string): Promise<Manifest> =>
    readManifestFile(path, digest, manifestShape);

/**
 * The directory that has the files of a dump.
 *
 * @param manifestFile  where its manifest is
 * @throws MigrationError SM-E0906 for the manifest of a copy, which has none
 */
export function dumpDirectory({ directory }: Manifest, manifestFile: string): string {
    if (directory !== undefined) return join(dirname(manifestFile), directory);
    throw new MigrationError("SM-E0906", {
        where: manifestFile,
        found: "the manifest of a copy from server to server, which has no files",
        expected: "the manifest of a dump",
    });
}
