/** Where the target keeps media besides its own store: the `media_storage_providers` of its configuration. */
import { z } from "zod";
import { accessKey, secret } from "./secret.ts";

/** A bucket of the target's own. Named as in S3, not as in homeserver.yaml. */
export const ownBucket = z.strictObject({
    kind: z.literal("s3"),
    bucket: z.string().min(1),
    /** Put before each path of the media store as it is: a folder's ends with a slash. */
    prefix: z.string().default(""),
    /** Of AWS, or what the server calls itself. Synapse's process may know it from elsewhere. */
    region: z.string().min(1).optional(),
    /** Of servers other than AWS; addressed by path. */
    endpoint: z.url({ protocol: /^https?$/ }).optional(),
    /** STANDARD when absent. */
    storageClass: z.enum(["STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "INTELLIGENT_TIERING"]).optional(),
});

/** The source's providers as they are: their buckets move with the homeserver. */
export const keptBucket = z.strictObject({ kind: z.literal("keep") });

/** As the steps are told, with what the stack has as secrets. Both keys or none: Synapse's process may have a role of its own. */
export const mediaStorageProvider = z.discriminatedUnion("kind", [
    keptBucket,
    ownBucket.extend({ accessKeyId: accessKey.optional(), secretAccessKey: secret.optional() }),
]);
export type MediaStorageProvider = z.infer<typeof mediaStorageProvider>;
