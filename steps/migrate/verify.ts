/** Proves that what was restored is what was dumped, before it is given the name that Synapse connects to. */
import { createHash } from "node:crypto";
import { lstat } from "node:fs/promises";
import type { z } from "zod";
import { verifyContract, type Check } from "../../contract/index.ts";
import { sourceMedia } from "../../engine/media/s3/bucketMedia.ts";
import { verifyHandedMedia } from "../../engine/media/mediaRepo/verifyHanded.ts";
import { verifyMedia } from "../../engine/media/verifyMedia.ts";
import { compareDatabase, type Comparison } from "../../engine/postgres/compare/compareDatabase.ts";
import { compareImported } from "../../engine/postgres/compare/compareImported.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { readImportManifest } from "../../engine/postgres/compare/importManifest.ts";
import { readManifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { advanceMarker } from "../../engine/postgres/databases/marker.ts";
import { compareReplica } from "../../engine/postgres/replication/compareReplica.ts";
import { readReplicaManifest } from "../../engine/postgres/replication/replicaManifest.ts";
import { adminAddress, ownerAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";

type VerifySpec = z.infer<typeof verifyContract.spec>;

export const verify = defineStep(verifyContract, async (spec, run) => {
    // What is compared may be a program (functions of checks, indexes, types), so it is asked with no more rights than its own.
    const address = await ownerAddress(spec.database, spec.incoming);
    const admin = await adminAddress(spec.database, spec.incoming);
    const compared = await run.progress.during("comparing the restored database with the manifest", () =>
        compare(spec, address),
    );
    const media = await run.progress.during("comparing the media with the database", () =>
        spec.handedMedia === undefined
            ? verifyStore(spec, address, run)
            : verifyHandedMedia(spec.handedMedia, address, run.signal),
    );
    const checks = [
        ...compared.checks,
        ...media.map((check) => excused(check, spec.source)),
        ...(await secretFileChecks([spec.signingKeyFile, spec.secretsFile])),
    ];
    await run.evidence({ checks, tables: compared.tables.map(({ table, ...rest }) => ({ name: table, ...rest })) });
    const failed = checks.filter(({ state }) => state === "failed");
    if (failed.length > 0) {
        throw new MigrationError("SM-E0601", {
            where: `database ${spec.incoming}, media store ${spec.mediaStore}`,
            found: failed.map(({ id, evidence }) => `${id}: ${evidence}`).join("\n"),
            expected: "exactly what the manifest of the dump says",
            changed: "nothing that serves was changed: the restored database keeps its incoming name",
        });
    }
    await withClient(admin, { step: "verify" }, (client) => advanceMarker(client, run.id, ["restored"], "verified"));
    return {
        proof: createHash("sha256")
            .update(JSON.stringify({ manifest: spec.manifestDigest, checks }))
            .digest("hex"),
        tables: compared.tables.length,
        rows: compared.tables.reduce((sum, { targetRows }) => sum + targetRows, 0),
        passed: checks.filter(({ state }) => state === "passed").length,
        warnings: checks.filter(({ state }) => state === "warning"),
        notRun: checks.filter(({ state }) => state === "not-run"),
    };
});

/** A dump of our own was counted in the source; what is imported was counted while it was read. */
async function compare(spec: VerifySpec, address: DatabaseAddress): Promise<Comparison> {
    const options = { oneTimeKeys: spec.oneTimeKeys, owner: spec.database.owner };
    if (spec.replicated === true)
        return compareReplica(
            address,
            await readReplicaManifest(spec.manifestFile, spec.manifestDigest),
            spec.database.owner,
        );
    if (spec.source.kind === "selfHosted")
        return compareDatabase(address, await readManifest(spec.manifestFile, spec.manifestDigest), options);
    const manifest = await readImportManifest(spec.manifestFile, spec.manifestDigest);
    return compareImported(address, manifest, { ...options, mediaRowsAdded: spec.mediaRowsAdded ?? 0 });
}

async function verifyStore(spec: VerifySpec, address: DatabaseAddress, run: StepRun): Promise<Check[]> {
    const { source, mediaStorageProvider: provider, remoteCache, acceptMissingMedia: acceptMissing } = spec;
    const bucket =
        provider?.kind === "keep"
            ? await sourceMedia((await readSourceConfig(source)).sections, address, remoteCache, run)
            : undefined;
    try {
        const accepted = { bucket, acceptMissing };
        return await verifyMedia(spec.mediaStore, spec.mediaTreeDigest ?? "", address, remoteCache, accepted);
    } finally {
        bucket?.close();
    }
}

/** Who goes on without media has been told so by the assessment, and has said that it is meant. */
function excused(check: Check, source: VerifySpec["source"]): Check {
    const meant = source.kind !== "selfHosted" && source.media === undefined;
    return meant && check.id === "media.complete" && check.state === "failed" ? { ...check, state: "warning" } : check;
}

async function secretFileChecks(files: readonly string[]): Promise<Check[]> {
    return Promise.all(
        files.map(async (file) => {
            const status = await lstat(file);
            const fit = status.isFile() && (status.mode & 0o077) === 0;
            return {
                id: `secret-file ${file.split("/").at(-1) ?? file}`,
                state: fit ? ("passed" as const) : ("failed" as const),
                evidence: fit
                    ? "a file that only its owner may read"
                    : `mode ${(status.mode & 0o777).toString(8)}${status.isFile() ? "" : ", not a plain file"}`,
            };
        }),
    );
}
