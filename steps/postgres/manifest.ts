/** The manifest of a dump: what is in it, so that nothing has to be believed of the programs that wrote and read it. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { count, instant, seconds, sha256 } from "../contract/shared.ts";
import { writePrivateFile } from "../hosts/atomicFile.ts";
import { MigrationError } from "../run/errors.ts";
import { definitionShape } from "./catalogue.ts";
import { tableFingerprintShape } from "./fingerprint.ts";
import { sequenceShape } from "./sequences.ts";

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
    /** Directory of the files, relative to the manifest's own. */
    directory: z.string().regex(/^[a-z0-9._-]+$/),
    files: z.array(z.strictObject({ path: z.string().regex(/^[A-Za-z0-9._-]+$/), bytes: count, sha256 })),
});
export type Manifest = z.infer<typeof manifestShape>;

const fileShape = z.strictObject({ digest: sha256, manifest: z.unknown() });

export const manifestDigest = (manifest: Manifest): string => digestOf(manifest);

/** SHA-256 of the canonical form of a manifest: JSON without spaces, keys sorted by code unit. */
export function digestOf(manifest: object): string {
    return createHash("sha256").update(canonicalJson(manifest)).digest("hex");
}

/** Writes it whole or not at all, mode 0600. */
export async function writeManifest(path: string, manifest: Manifest): Promise<string> {
    const digest = manifestDigest(manifest);
    await writePrivateFile(path, `${JSON.stringify({ digest, manifest }, undefined, 1)}\n`);
    return digest;
}

/**
 * Reads a manifest and makes sure that it is the one that was asked for.
 *
 * @throws MigrationError SM-E0911 when it is missing, damaged, or another one
 */
export async function readManifest(path: string, digest: string): Promise<Manifest> {
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0911", {
            where: path,
            found,
            expected: `the manifest with the digest ${digest}`,
            cause,
        });
    const parsed = await readFile(path, "utf8").then(
        (text) => parseJson(text),
        (error: unknown) => {
            throw refuse(error instanceof Error ? error.message : String(error), error);
        },
    );
    const file = fileShape.safeParse(parsed);
    const manifest = file.success ? manifestShape.safeParse(file.data.manifest) : undefined;
    if (!file.success || manifest?.success !== true) throw refuse("not the manifest of a dump, or a damaged one");
    const actual = manifestDigest(manifest.data);
    if (actual !== file.data.digest)
        throw refuse(`a content whose digest is ${actual}, and not ${file.data.digest} as written beside it`);
    if (actual !== digest) throw refuse(`a manifest whose digest is ${actual}`);
    return manifest.data;
}

function parseJson(text: string): unknown {
    try {
        return JSON.parse(text);
    } catch {
        return undefined;
    }
}

function canonicalJson(value: unknown): string {
    if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
    if (typeof value !== "object" || value === null) return JSON.stringify(value);
    const fields = Object.entries(value)
        .filter(([, field]) => field !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, field]) => `${JSON.stringify(key)}:${canonicalJson(field)}`);
    return `{${fields.join(",")}}`;
}
