/** Contracts of the steps that make a bundle for another provider: a target that is handed over, and not started here. */
import { z } from "zod";
import { contract } from "./define.ts";
import { secret } from "./secret.ts";
import {
    absolutePath,
    acceptedList,
    check,
    count,
    databaseFormat,
    instant,
    runReference,
    seconds,
    sha256,
} from "./shared.ts";
import { selfHostedSource } from "./source.ts";

/** Smaller parts than this nobody transfers one by one. */
export const smallestPart = 1024 * 1024;

/** Where the files go, and who can read them: who has the key, or else who has the passphrase that goes with it. */
export const bundlePlace = z.strictObject({
    /** Made for the bundle, mode 0700. Everything in it is encrypted but its list of contents and the receiver's notes. */
    directory: absolutePath,
    /** Files longer than this many bytes are split into `.part-aa`, `.part-ab`, … */
    partBytes: z.number().int().min(smallestPart).optional(),
    /** The receiver's public key. Without one, files are encrypted with the passphrase. */
    recipientKeyFile: absolutePath.optional(),
});
export type BundlePlace = z.infer<typeof bundlePlace>;

const exportSpec = z.strictObject({
    run: runReference,
    source: selfHostedSource,
    /** Absent in a rehearsal, which takes a snapshot of a running source. */
    fenceToken: sha256.optional(),
    bundle: bundlePlace,
    passphrase: secret.optional(),
});

/** What a step has added to the bundle: described in a file of the run directory, which the manifest is made of. */
export const exportedSection = z.strictObject({
    sectionFile: absolutePath,
    sectionDigest: sha256,
    files: count,
    bytes: count,
    seconds,
});
export type ExportedSection = z.infer<typeof exportedSection>;

/** Refuses what can be refused before anything is stopped: secrets that are not the source's, a key that cannot be encrypted to. */
export const prepareBundleContract = contract({
    name: "prepare-bundle",
    phase: "stage",
    version: 1,
    spec: exportSpec.omit({ fenceToken: true }).extend({
        clientDirectory: absolutePath,
        signingKey: secret,
        /** Absent when the source has none; empty is not the same as absent. */
        pepper: secret.optional(),
        macaroonSecretKey: secret.optional(),
    }),
    result: z.strictObject({
        directory: absolutePath,
        /** `{"ed25519:a_AbCd": "<unpadded base64 of the public key>"}`. */
        verifyKeys: z.record(z.string(), z.string()),
    }),
});

/** `pg_dump`, compressed and encrypted on its way, read and compared with the database at the same time. */
export const exportDatabaseContract = contract({
    name: "export-database",
    phase: "migrate",
    version: 1,
    spec: exportSpec.extend({
        clientDirectory: absolutePath,
        /** `plain` when absent. */
        format: databaseFormat.optional(),
    }),
    result: exportedSection.extend({ tables: count, rows: count }),
});

/** The media twice: as matrix-media-repo exports them, and as Synapse's store has them. */
export const exportMediaContract = contract({
    name: "export-media",
    phase: "migrate",
    version: 1,
    immaterial: ["acceptMissingMedia"],
    spec: exportSpec.extend({
        /** `remote_content` and `remote_thumbnail`: fetched again by the receiver when they are left out. */
        remoteCache: z.enum(["carry", "drop"]),
        /** Media without files that are no reason to stop. */
        acceptMissingMedia: acceptedList.optional(),
    }),
    result: exportedSection.extend({
        media: count,
        /** The receiver's matrix-media-repo refuses what is longer than its `uploads.maxBytes`. */
        longestBytes: count,
    }),
});

/** homeserver.yaml and what makes the homeserver this one, without the secrets that are not the receiver's business. */
export const exportConfigContract = contract({
    name: "export-config",
    phase: "migrate",
    version: 1,
    spec: exportSpec,
    result: exportedSection,
});

/** Writes the manifest, the checksums and the receiver's notes. */
export const sealBundleContract = contract({
    name: "seal-bundle",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        serverName: z.string(),
        bundle: bundlePlace,
        /** Absent in a rehearsal. */
        fencedAt: instant.optional(),
        verifyKeys: z.record(z.string(), z.string()),
        database: exportedSection.pick({ sectionFile: true, sectionDigest: true }),
        media: exportedSection.pick({ sectionFile: true, sectionDigest: true }),
        configuration: exportedSection.pick({ sectionFile: true, sectionDigest: true }),
    }),
    result: z.strictObject({ manifestFile: absolutePath, manifestDigest: sha256, files: count, bytes: count }),
});

/** Reads every file of the bundle again, through its encryption to the end, and compares with the manifest. */
export const verifyBundleContract = contract({
    name: "verify-bundle",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        bundle: bundlePlace,
        passphrase: secret.optional(),
        manifestDigest: sha256,
    }),
    result: z.strictObject({
        /** SHA-256 of the list of checks and what they saw. */
        proof: sha256,
        passed: count,
        warnings: z.array(check),
        notRun: z.array(check),
    }),
});

/** The point of no return of a bundle: from here on the source must never serve again, whether the receiver has begun or not. */
export const handOverContract = contract({
    name: "hand-over",
    phase: "cutover",
    version: 1,
    irrevocable: true,
    spec: z.strictObject({
        run: runReference,
        source: selfHostedSource,
        fenceToken: sha256.optional(),
        bundle: bundlePlace,
        manifestDigest: sha256,
        /** Of the verification. */
        proof: sha256,
    }),
    result: z.strictObject({ handedOverAt: instant }),
});

/** Removes the run's working files; the bundle stays. */
export const clearExportContract = contract({
    name: "clear-export",
    phase: "finish",
    version: 1,
    // What is gone is gone, so that doing it twice does no more than doing it once.
    repeatable: "always",
    spec: z.strictObject({ run: runReference, handedOverAt: instant }),
    result: z.strictObject({ removedBytes: count }),
});
