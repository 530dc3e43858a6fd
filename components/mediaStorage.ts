/** Where the target keeps media besides its own store, as its steps are told: with the keys that the stack has as secrets. */
import * as pulumi from "@pulumi/pulumi";
import type { MediaStorageProvider } from "../contract/index.ts";
import type { MigrationSecrets } from "./config/readStackConfig.ts";
import type { LocalTargetConfig } from "./targets/local/layout.ts";

/** @returns undefined where the target has all media in its own store */
export function mediaStorageProvider(
    configured: LocalTargetConfig["mediaStorageProvider"],
    { s3AccessKeyId, s3SecretAccessKey }: MigrationSecrets,
): pulumi.Output<MediaStorageProvider> | undefined {
    if (configured === undefined) return undefined;
    if (configured.kind === "keep") return pulumi.output(configured);
    return pulumi
        .all([s3AccessKeyId, s3SecretAccessKey])
        .apply(([accessKeyId, secretAccessKey]): MediaStorageProvider => ({
            ...configured,
            ...(accessKeyId === undefined || secretAccessKey === undefined ? {} : { accessKeyId, secretAccessKey }),
        }));
}
