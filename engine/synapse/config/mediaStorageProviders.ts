/** The `media_storage_providers` of a homeserver.yaml that keep media in S3, as the module synapse-s3-storage-provider 1.7 reads them. */
import { z } from "zod";
import type { MediaStorageProvider } from "../../../contract/mediaStorage.ts";
import { MigrationError } from "../../run/errors.ts";
import { registerSecret } from "../../run/redaction.ts";
import { isMapping, without } from "./configTree.ts";

export const s3Module = "s3_storage_provider.S3StorageProviderBackend";
const section = "media_storage_providers";
type OwnBucket = Extract<MediaStorageProvider, { kind: "s3" }>;

/** A bucket, and how to get at it. */
export interface BucketAddress {
    readonly bucket: string;
    /** Put before each path of the media store as it is: nothing is inserted between the two. */
    readonly prefix: string;
    /** Absent leaves it to what surrounds the process, as boto3 does. */
    readonly region?: string | undefined;
    /** Absent for AWS. Addressed by path, as boto3 does where an endpoint is given. */
    readonly endpoint?: string | undefined;
    /** Absent where they come from what surrounds the process: variables, files of AWS's own tools, the role of a machine. */
    readonly credentials?:
        | {
              readonly accessKeyId: string;
              readonly secretAccessKey: string;
              readonly sessionToken?: string | undefined;
          }
        | undefined;
    /** A key of one's own that the server encrypts with (SSE-C). */
    readonly customerKey?: { readonly key: string; readonly algorithm: string } | undefined;
    /** Of what is written. */
    readonly storageClass?: OwnBucket["storageClass"];
    /** Not all servers know the checksums that AWS has added later. */
    readonly checksums?: { readonly request: ChecksumUse; readonly response: ChecksumUse } | undefined;
}
type ChecksumUse = "WHEN_REQUIRED" | "WHEN_SUPPORTED";

/** YAML makes a number of a key that has only digits; the module makes a text of it again. */
const text = z.union([z.string().min(1), z.number().transform(String)]);
const checksumUse = z
    .string()
    .transform((use): ChecksumUse => (use.toLowerCase() === "when_supported" ? "WHEN_SUPPORTED" : "WHEN_REQUIRED"))
    .default("WHEN_REQUIRED");
const settings = z
    .looseObject({
        bucket: z.string().min(1),
        prefix: z.string().default(""),
        region_name: text.optional(),
        endpoint_url: z.url().optional(),
        access_key_id: text.optional(),
        secret_access_key: text.optional(),
        session_token: text.optional(),
        sse_customer_key: text.optional(),
        sse_customer_algo: text.default("AES256"),
        request_checksum_calculation: checksumUse,
        response_checksum_validation: checksumUse,
    })
    .refine((all) => (all.access_key_id === undefined) === (all.secret_access_key === undefined), {
        message: "access_key_id and secret_access_key go together",
    });

/** Whether an entry of `media_storage_providers` is the S3 module. */
function isS3Provider(entry: unknown): boolean {
    return isMapping(entry) && entry["module"] === s3Module;
}

/** Whether the configuration has media in S3. */
export function hasS3Provider(sections: Readonly<Record<string, unknown>>): boolean {
    return providersOf(sections).some(isS3Provider);
}

/**
 * The buckets of a configuration, in the order in which Synapse asks them. Their secrets are registered.
 *
 * @throws MigrationError SM-E0206 for a section that the module would not take
 */
export function s3Buckets(sections: Readonly<Record<string, unknown>>): BucketAddress[] {
    return providersOf(sections).flatMap((entry, position) => {
        if (!isS3Provider(entry)) return [];
        const parsed = settings.safeParse(isMapping(entry) ? entry["config"] : undefined);
        if (!parsed.success) {
            throw new MigrationError("SM-E0206", {
                where: `media_storage_providers[${position}].config`,
                // Zod's messages name types, not values; values may be secrets.
                found: parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "),
                expected:
                    "what synapse-s3-storage-provider takes: bucket, and optionally prefix, region_name, endpoint_url and others",
            });
        }
        return [addressOf(parsed.data)];
    });
}

/** The target's own bucket, as its steps are told of it. Its secret is registered. */
export function ownAddress(own: OwnBucket): BucketAddress {
    const { bucket, prefix, region, endpoint, storageClass, accessKeyId, secretAccessKey } = own;
    registerSecret(secretAccessKey ?? "");
    const credentials =
        accessKeyId === undefined || secretAccessKey === undefined ? undefined : { accessKeyId, secretAccessKey };
    return { bucket, prefix, region, endpoint, storageClass, credentials };
}

/**
 * The source's sections with the providers that the target has: the source's S3 ones are left out, kept, or replaced by one of its own.
 * Those of other modules stay.
 *
 * @param provider  absent: the target has all media in its own store
 */
export function withTargetProviders(
    sections: Readonly<Record<string, unknown>>,
    provider: MediaStorageProvider | undefined,
): Readonly<Record<string, unknown>> {
    if (provider?.kind === "keep" || (provider === undefined && !hasS3Provider(sections))) return sections;
    const others = providersOf(sections).filter((entry) => !isS3Provider(entry));
    const providers = provider === undefined ? others : [...others, providerSection(provider)];
    // Where media were only in S3, Synapse was told not to keep them itself.
    const left = hasS3Provider(sections) ? new Set([section, "enable_local_media_storage"]) : new Set([section]);
    const rest = without(sections, (key) => left.has(key));
    return providers.length === 0 ? rest : { ...rest, [section]: providers };
}

/** Synapse waits until the bucket has an upload: one that is lost after that is a loss of the bucket. */
function providerSection(own: OwnBucket): object {
    const config = {
        bucket: own.bucket,
        prefix: own.prefix === "" ? undefined : own.prefix,
        region_name: own.region,
        endpoint_url: own.endpoint,
        access_key_id: own.accessKeyId,
        secret_access_key: own.secretAccessKey,
        storage_class: own.storageClass,
    };
    return {
        module: s3Module,
        store_local: true,
        store_remote: true,
        store_synchronous: true,
        config: Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined)),
    };
}

function addressOf(given: z.infer<typeof settings>): BucketAddress {
    const { access_key_id: accessKeyId, secret_access_key: secretAccessKey, session_token: sessionToken } = given;
    for (const secret of [secretAccessKey, sessionToken, given.sse_customer_key]) registerSecret(secret ?? "");
    return {
        bucket: given.bucket,
        prefix: given.prefix,
        region: given.region_name,
        endpoint: given.endpoint_url,
        credentials:
            accessKeyId === undefined || secretAccessKey === undefined
                ? undefined
                : { accessKeyId, secretAccessKey, sessionToken },
        customerKey:
            given.sse_customer_key === undefined
                ? undefined
                : { key: given.sse_customer_key, algorithm: given.sse_customer_algo },
        checksums: { request: given.request_checksum_calculation, response: given.response_checksum_validation },
    };
}

function providersOf(sections: Readonly<Record<string, unknown>>): readonly unknown[] {
    const providers = sections[section];
    return Array.isArray(providers) ? (providers as unknown[]) : [];
}
