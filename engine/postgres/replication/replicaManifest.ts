/** What a target that has followed to the end must be: as the manifest of a dump, but most of it was proven while both sides were there. */
import { z } from "zod";
import { check, instant } from "../../../contract/shared.ts";
import { definitionShape } from "../catalogue/catalogue.ts";
import { tableFingerprintShape } from "../compare/fingerprint.ts";
import { readManifestFile, writeManifestFile } from "../compare/manifestFile.ts";
import { sequenceShape } from "../sequences/sequences.ts";

const replicaManifestShape = z.strictObject({
    run: z.string(),
    serverName: z.string(),
    /** How the rows at the end were compared. */
    verify: z.enum(["quick", "strict"]),
    copiedAt: instant,
    /** Rows of the snapshot, equal on both sides before the first change was taken over. */
    copied: z.array(tableFingerprintShape),
    /** Rows at the end, equal on both sides; absent with `quick`. */
    tables: z.array(tableFingerprintShape).optional(),
    /** What was compared at the catch-up, on both sides. */
    checks: z.array(check),
    position: z.string(),
    sequences: z.array(sequenceShape),
    definitions: z.array(definitionShape),
});
export type ReplicaManifest = z.infer<typeof replicaManifestShape>;

/** @returns its digest */
export const writeReplicaManifest = (path: string, manifest: ReplicaManifest): Promise<string> =>
    writeManifestFile(path, manifest);

/** @throws MigrationError SM-E0911 when it is missing, damaged, or another one */
export const readReplicaManifest = (path: string, digest: string): Promise<ReplicaManifest> =>
    readManifestFile(path, digest, replicaManifestShape);
