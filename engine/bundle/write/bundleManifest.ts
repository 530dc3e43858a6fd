/** What a bundle holds, section by section: written by each export, put together for the receiver, compared at the end. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ExportedSection } from "../../../contract/export.ts";
import { count, instant, sha256 } from "../../../contract/shared.ts";
import { writePrivateFile } from "../../run/atomicFile.ts";
import { digestOf } from "../../postgres/compare/manifestFile.ts";
import { MigrationError } from "../../run/errors.ts";
import { parseJson } from "../../run/parseJson.ts";
import { artefactShape, type Artefact } from "./artefact.ts";

const databaseContent = {
    synapse: z.strictObject({ schemaVersion: count, compatVersion: count.nullable() }),
    /** `digest`: of the lines of the table's COPY, in whatever order. */
    tables: z.array(
        z.strictObject({ schema: z.string(), name: z.string(), rows: count, bytes: count, digest: z.string() }),
    ),
    sequences: z.array(
        z.strictObject({ schema: z.string(), name: z.string(), lastValue: z.string(), isCalled: z.boolean() }),
    ),
    leftOut: z.array(z.string()),
};

const plainDatabase = z.strictObject({
    format: z.literal("plain"),
    artefact: artefactShape,
    /** Of the dump itself, decrypted and decompressed. */
    dump: z.strictObject({ bytes: count, sha256, serverVersion: z.string(), programVersion: z.string() }),
    ...databaseContent,
});
export type PlainDatabase = z.infer<typeof plainDatabase>;

const directoryDatabase = z.strictObject({
    format: z.literal("directory"),
    /** Archives, each with some of the members. */
    artefacts: z.array(artefactShape).min(1),
    /** Files of pg_dump's directory, with the ending of their compression; `bytes` without it. */
    members: z.array(
        z.strictObject({
            name: z.string().regex(/^(toc|\d+)\.dat(\.zst|\.gz)?$/),
            bytes: count,
            /** `schema.name` of the table whose rows it has; null for the table of contents. */
            table: z.string().nullable(),
        }),
    ),
    /** Of all members, decompressed. */
    dump: z.strictObject({ bytes: count, serverVersion: z.string(), programVersion: z.string() }),
    ...databaseContent,
});
export type DirectoryDatabase = z.infer<typeof directoryDatabase>;

export const databaseSection = z.discriminatedUnion("format", [plainDatabase, directoryDatabase]);
export type DatabaseSection = z.infer<typeof databaseSection>;

export const mediaSection = z.strictObject({
    /** As matrix-media-repo imports it. */
    export: z.strictObject({
        artefact: artefactShape,
        /** Names of the archives in it; the one with the manifest comes last. */
        parts: z.array(z.string()),
        media: count,
        bytes: count,
        longestBytes: count,
        previews: count,
        quarantined: count,
    }),
    /** As Synapse stores it. */
    backup: z.strictObject({
        artefact: artefactShape,
        files: count,
        bytes: count,
        /** SHA-256 over the lines `<sha-256> <size> <relative path>` of all files, in their order in the archive. */
        treeDigest: sha256,
        folders: z.array(z.string()),
    }),
    leftOut: z.array(z.string()),
});
export type MediaSection = z.infer<typeof mediaSection>;

export const configSection = z.strictObject({
    artefact: artefactShape,
    files: z.array(z.strictObject({ name: z.string(), bytes: count, sha256 })),
    leftOut: z.array(z.string()),
});
export type ConfigSection = z.infer<typeof configSection>;

export const bundleManifest = z.strictObject({
    format: z.literal("synapse-migration-bundle-1"),
    serverName: z.string(),
    run: z.string(),
    madeAt: instant,
    /** When the source was stopped for good; null where it went on: this is not a migration then. */
    fencedAt: instant.nullable(),
    encryption: z.enum(["passphrase", "public key"]),
    /** Public halves of the signing keys. */
    verifyKeys: z.record(z.string(), z.string()),
    database: databaseSection,
    media: mediaSection,
    configuration: configSection,
});
export type BundleManifest = z.infer<typeof bundleManifest>;

/** All files that are encrypted. */
export function artefactsOf({ database, media, configuration }: BundleManifest): Artefact[] {
    const ofDatabase = database.format === "plain" ? [database.artefact] : database.artefacts;
    return [...ofDatabase, media.export.artefact, media.backup.artefact, configuration.artefact];
}

/** Keeps what a step has exported in the run directory, and gives what its result says of it. */
export async function keepSection(
    name: "database" | "media" | "configuration",
    section: object,
    artefacts: readonly Artefact[],
    seconds: number,
    runDirectory: string,
): Promise<ExportedSection> {
    const sectionFile = join(runDirectory, `export-${name}.json`);
    await writePrivateFile(sectionFile, `${JSON.stringify(section, undefined, 1)}\n`);
    return {
        sectionFile,
        sectionDigest: digestOf(section),
        files: artefacts.reduce((sum, { files }) => sum + files.length, 0),
        bytes: artefacts.reduce((sum, { bytes }) => sum + bytes, 0),
        seconds,
    };
}

/** @throws MigrationError SM-E0911 when it is missing, damaged, or another one */
export async function readSection<T extends object>(
    { sectionFile, sectionDigest }: Pick<ExportedSection, "sectionFile" | "sectionDigest">,
    shape: z.ZodType<T>,
): Promise<T> {
    return readDigested(sectionFile, sectionDigest, shape);
}

/** @throws MigrationError SM-E0911 when it is missing, damaged, or another one */
export async function readDigested<T extends object>(path: string, digest: string, shape: z.ZodType<T>): Promise<T> {
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0911", { where: path, found, expected: `content with the digest ${digest}`, cause });
    const text = await readFile(path, "utf8").catch((error: unknown) => {
        throw refuse(error instanceof Error ? error.message : String(error), error);
    });
    const content = shape.safeParse(parseJson(text));
    if (!content.success) throw refuse("it is damaged");
    const actual = digestOf(content.data);
    if (actual !== digest) throw refuse(`content with the digest ${actual}`);
    return content.data;
}
