/** What the copy held when following began: compared with the source again at the catch-up, and the base of the proof. */
import { join } from "node:path";
import { z } from "zod";
import { count, instant, seconds } from "../../../contract/shared.ts";
import { definitionShape } from "../catalogue/catalogue.ts";
import { tableFingerprintShape } from "../compare/fingerprint.ts";
import { readManifestFile, writeManifestFile } from "../compare/manifestFile.ts";

const bulkShape = z.strictObject({
    run: z.string(),
    copiedAt: instant,
    seconds,
    /** Of all rows, in the snapshot at which the slot begins: equal on both sides before the first change was taken over. */
    tables: z.array(tableFingerprintShape),
    /** As they were before any replica identity was set. */
    definitions: z.array(definitionShape),
    schemaDigest: z.string(),
    sourceVersion: z.string(),
    targetVersion: z.string(),
    published: count,
    /** Temporary unique indexes on the target. */
    temporaryKeys: z.array(z.strictObject({ schema: z.string(), table: z.string(), index: z.string() })),
});
export type BulkRecord = z.infer<typeof bulkShape>;

const bulkFile = (runDirectory: string): string => join(runDirectory, "replication-copy.json");

/** @returns its digest */
export const writeBulk = (runDirectory: string, bulk: BulkRecord): Promise<string> =>
    writeManifestFile(bulkFile(runDirectory), bulk);

/** @throws MigrationError SM-E0911 when it is missing, damaged, or another one */
export const readBulk = (runDirectory: string, digest: string): Promise<BulkRecord> =>
    readManifestFile(bulkFile(runDirectory), digest, bulkShape);
