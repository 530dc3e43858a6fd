/** What of a homeserver this route cannot move, or not without work on the target: each a finding with a way on. */
import { z } from "zod";
import type { Finding } from "../../../contract/index.ts";
import type { HomeserverDatabase } from "./databaseSettings.ts";
import { hasS3Provider, s3Module } from "./mediaStorageProviders.ts";

const shape = z.looseObject({
    matrix_authentication_service: z.looseObject({ enabled: z.unknown() }).nullish().catch(undefined),
    experimental_features: z
        .looseObject({ msc3861: z.looseObject({ enabled: z.unknown() }).nullish() })
        .nullish()
        .catch(undefined),
    modules: z
        .array(z.looseObject({ module: z.string() }))
        .nullish()
        .catch(undefined),
    media_storage_providers: z
        .array(z.looseObject({ module: z.string() }))
        .nullish()
        .catch(undefined),
    enable_local_media_storage: z.unknown().optional(),
    media_instance_running_background_jobs: z.unknown().optional(),
    worker_app: z.string().optional().catch(undefined),
    redis: z.looseObject({ enabled: z.unknown() }).nullish().catch(undefined),
});

/** What it looks at of a homeserver's configuration. */
interface Facts {
    /** The effective top-level sections. */
    readonly sections: Readonly<Record<string, unknown>>;
    readonly database: HomeserverDatabase;
    readonly mediaStorePath: string;
    /** Names of the worker processes. */
    readonly workers: readonly string[];
    readonly appServiceConfigFiles: readonly string[];
}

/** @returns findings SM-E0704 that block, SM-W0703 and SM-W0704 that warn */
export function findNotCarried(config: Facts): Finding[] {
    const sections = shape.parse(config.sections);
    const findings: Finding[] = [];
    const blocks = (id: string, evidence: string, fix: string): void => {
        findings.push({ id, severity: "error", evidence, fix });
    };
    const warns = (id: string, evidence: string, fix: string): void => {
        findings.push({ id, severity: "warning", evidence, fix });
    };

    if (config.database.kind === "several") {
        blocks(
            "SM-E0704",
            `\`databases:\` keeps Synapse's stores in ${config.database.names.length} databases: ${config.database.names.join(", ")}`,
            "bring the stores back into one database first, as Synapse's documentation of `databases` describes",
        );
    }
    if (sections.matrix_authentication_service?.enabled === true || sections.experimental_features?.msc3861?.enabled) {
        blocks(
            "SM-E0704",
            "Matrix Authentication Service keeps users' passwords and sessions in a database of its own",
            "move that database together with Synapse's from one moment in which both stand still, and its `encryption` and `secrets.keys`",
        );
    }
    for (const { module } of sections.modules ?? []) {
        warns(
            "SM-W0704",
            `the module ${module} is configured`,
            "install it into the target's Synapse environment; Synapse does not start without it",
        );
    }
    for (const { module } of sections.media_storage_providers ?? []) {
        // What becomes of media in S3 depends on where they go: see `assess/mediaStorageChecks.ts`.
        if (module === s3Module) continue;
        warns(
            "SM-W0704",
            `media also goes to the storage provider ${module}`,
            "bring back what is only there (s3_media_upload can list it), or give the target the provider's package and its bucket",
        );
    }
    const mediaWorker = sections.media_instance_running_background_jobs;
    if (typeof mediaWorker === "string" && !["main", "master"].includes(mediaWorker)) {
        // Settings of the media store are then another process's, which may have a file of its own.
        warns(
            "SM-W0704",
            `the worker ${mediaWorker} has the media, in ${config.mediaStorePath} if its own file says nothing else`,
            "does the worker's configuration name another media_store_path? Set source.mediaStore to that; the target serves media itself",
        );
    } else if (sections.enable_local_media_storage === false && !hasS3Provider(config.sections)) {
        blocks(
            "SM-E0704",
            "enable_local_media_storage is false: media is in the storage providers only",
            "copy the providers' content into the media store first",
        );
    }
    if (config.workers.length > 0) {
        warns(
            "SM-W0704",
            `${config.workers.length} workers are configured: ${config.workers.join(", ")}`,
            "the target runs as one process; stop all workers with the source, and add workers to the target afterwards",
        );
    }
    if (sections.worker_app !== undefined && sections.worker_app !== "synapse.app.homeserver") {
        blocks(
            "SM-E0704",
            `the files configure the worker ${sections.worker_app}`,
            "give the configuration of the main process",
        );
    }
    for (const file of config.appServiceConfigFiles) {
        warns(
            "SM-W0703",
            `the application service of ${file} comes along`,
            "check that its `url` can be reached from the target; its own data is not moved",
        );
    }
    return findings;
}
