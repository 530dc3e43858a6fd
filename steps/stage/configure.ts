/** Step `configure`: writes the target's configuration, which is the source's with only what must differ replaced. */
import { createHash } from "node:crypto";
import { isIPv6 } from "node:net";
import type { z } from "zod";
import { configureContract } from "../../contract/index.ts";
import { freePort } from "../../engine/machines/freePort.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { runDirectoryPaths } from "../../engine/run/runDirectory.ts";
import { contentDigester } from "../../engine/run/specDigest.ts";
import { defineStep } from "../../engine/run/step.ts";
import { configuredFiles } from "../../engine/synapse/config/configuredFiles.ts";
import type { HomeserverConfig } from "../../engine/synapse/config/homeserverConfig.ts";
import { listenerAt } from "../../engine/synapse/config/listeners.ts";
import { carriedSections } from "../../engine/synapse/config/movedSections.ts";
import { secretFileDigests, sectionDigests } from "../../engine/synapse/config/sectionDigests.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";
import { hasS3Provider, s3Module } from "../../engine/synapse/config/mediaStorageProviders.ts";
import { readOwnSecret } from "../../engine/synapse/secrets/readSecretFile.ts";
import { notCarried } from "../../engine/synapse/config/targetConfig.ts";
import { removeTargetFiles, writeTargetFiles } from "../../engine/synapse/config/targetFiles.ts";

type ConfigureSpec = z.infer<typeof configureContract.spec>;

/** Files that Python's rotating handler leaves beside the log. */
const rotatedLogs = [1, 2, 3];

/**
 * Writes into the target's directory, mode 0600, as the user Synapse runs as:
 * `homeserver.yaml`, `database.yaml` (its password), `log.yaml`, copies of files the configuration refers to, and for a
 * rehearsal `isolation.yaml`, which is applied last.
 */
export const configure = defineStep(
    configureContract,
    async (spec, run) => {
        const config = await readSourceConfig(spec.source);
        if (spec.source.kind === "selfHosted") refuseSourcesPlace(config, spec.listener);
        const carried = await carriedSections(config, spec);
        const password = await passwordOf(spec.database);
        const { bindAddress } = spec.listener;
        const port =
            spec.listener.port === 0 ? await run.recorded("port", () => freePort(bindAddress)) : spec.listener.port;

        const { host, port: databasePort, name, owner } = spec.database;
        const connection = { host, port: databasePort, name, user: owner };
        const files = configuredFiles(config, carried, {
            ...spec,
            listener: { bindAddress, port },
            servesMedia: spec.mediaServer !== "external",
            database: { ...connection, password },
        });
        const { homeserver, isolation, pidFile, logFile } = files;
        const digest = await contentDigester(runDirectoryPaths(run.directory).digestKey);
        const targetFiles = await writeTargetFiles(
            spec.targetDirectory,
            "configure",
            run.id,
            {
                contents: files.contents,
                copies: files.copies,
                from: config.machine,
                ownDirectories: [files.logs],
                later: [pidFile, logFile, ...rotatedLogs.map((number) => `${logFile}.${number}`)],
            },
            { say: run.progress.say.bind(run.progress), digest },
        );

        const left = [...notCarried(config.sections, spec.isolated), ...providerNotCarried(config.sections, spec)];
        for (const line of left) run.progress.note(`does not come along: ${line}`);
        // What comes as files is not fenced, and its secrets are those of the stack.
        const kept = spec.source.kind === "selfHosted" ? await secretFileDigests(config, run.directory) : undefined;
        await run.evidence({
            sourceSections: await sectionDigests(config, run.directory),
            ...(kept === undefined ? {} : { sourceSecretFiles: kept }),
            targetFiles,
            sections: Object.keys(homeserver).sort(),
            notCarried: left,
            findings: config.findings,
        });
        return {
            configFiles: [...files.configFiles],
            pidFile,
            logFile,
            baseUrl: baseUrl(bindAddress, port),
            digest: createHash("sha256")
                .update(JSON.stringify([homeserver, isolation ?? null, connection]))
                .digest("hex"),
            notCarried: left,
        };
    },
    async (spec, run) => {
        await removeTargetFiles(spec.targetDirectory, "configure", run.id);
    },
);

/** What is installed connects with what its own configuration says: the one that is made here is tried, and nothing runs with it. */
async function passwordOf({ installed, ownerPasswordFile }: ConfigureSpec["database"]): Promise<string> {
    if (installed !== undefined || ownerPasswordFile === undefined) return "";
    return (await readOwnSecret(ownerPasswordFile, "ownerPasswordFile")).replace(/\n$/, "");
}

function providerNotCarried(
    sections: Readonly<Record<string, unknown>>,
    { source, mediaStorageProvider: provider }: ConfigureSpec,
): string[] {
    if (source.kind !== "selfHosted" || !hasS3Provider(sections) || provider?.kind === "keep") return [];
    const where = provider === undefined ? "its own store" : `its own store and the bucket ${provider.bucket}`;
    return [`media_storage_providers: ${s3Module}: the target has media in ${where}`];
}

function baseUrl(bindAddress: string, port: number): string {
    const address = { "0.0.0.0": "127.0.0.1", "::": "::1" }[bindAddress] ?? bindAddress;
    return `http://${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** Where clients and proxies know the source they would reach the target as soon as it is started: unproven, and past the closed gateway. */
function refuseSourcesPlace({ files, listeners }: HomeserverConfig, place: ConfigureSpec["listener"]): void {
    if (place.port === 0 || listenerAt(listeners, place) === undefined) return;
    throw new MigrationError("SM-E0227", {
        where: `target.listener ${place.bindAddress}:${place.port}`,
        found: `the source listens there (${files.join(", ")})`,
        expected: "another port, or 0 for a free one; the gateway is what may take the source's place",
        changed: "nothing",
    });
}
