/** Proves that what was restored is what was dumped, before it is given the name that Synapse connects to. */
import { createHash } from "node:crypto";
import { lstat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { z } from "zod";
import { verifyContract, type Check } from "../../contract/index.ts";
import { targetUser } from "../../engine/machines/targetUser.ts";
import { sourceMedia } from "../../engine/media/s3/bucketMedia.ts";
import { verifyHandedMedia } from "../../engine/media/mediaRepo/verifyHanded.ts";
import { accessCheckId } from "../../engine/media/storeAccess.ts";
import { verifyMedia, type VerifiedMedia } from "../../engine/media/verifyMedia.ts";
import { compareDatabase, type ComparedTable, type Comparison } from "../../engine/postgres/compare/compareDatabase.ts";
import { compareImported } from "../../engine/postgres/compare/compareImported.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { readImportManifest } from "../../engine/postgres/compare/importManifest.ts";
import { readManifest } from "../../engine/postgres/compare/dumpManifest.ts";
import { advanceMarker } from "../../engine/postgres/databases/marker.ts";
import { compareReplica } from "../../engine/postgres/replication/compareReplica.ts";
import { readReplicaManifest } from "../../engine/postgres/replication/replicaManifest.ts";
import { adminAddress, ownerAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { MigrationError, throwAll } from "../../engine/run/errors.ts";
import { hasCode } from "../../engine/run/heldDirectory.ts";
import { IndependentChecks } from "../../engine/run/independentChecks.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";

type VerifySpec = z.infer<typeof verifyContract.spec>;

export const verify = defineStep(verifyContract, async (spec, run) => {
    // What is compared may be a program (functions of checks, indexes, types), so it is asked with no more rights than its own.
    const address = await ownerAddress(spec.database, spec.incoming);
    const admin = await adminAddress(spec.database, spec.incoming);
    const taken = new IndependentChecks(run.signal);
    let tables: readonly ComparedTable[] = [];
    await run.progress.during("comparing the restored database with the manifest", () =>
        taken.take("database", async () => {
            const compared = await compare(spec, address);
            ({ tables } = compared);
            return compared.checks;
        }),
    );
    const refusals: MigrationError[] = [];
    await run.progress.during("comparing the media with the database", () =>
        taken.take("media", async () => {
            if (spec.handedMedia !== undefined) return verifyHandedMedia(spec.handedMedia, address, run.signal);
            const media = await verifyStore(spec, address, run);
            const unusable = media.access.error(unchanged);
            refusals.push(...media.refusals, ...(unusable === undefined ? [] : [unusable]));
            return media.checks.map((check) => excused(check, spec.source));
        }),
    );
    for (const file of [spec.signingKeyFile, spec.secretsFile]) {
        const id = `secret-file ${basename(file)}`;
        await taken.take(id, async () => [await secretFileCheck(id, file)]);
    }
    const checks = taken.made;
    await run.evidence({ checks, tables: tables.map(({ table, ...rest }) => ({ name: table, ...rest })) });
    throwAll([...different(spec, checks), ...taken.refusals, ...refusals]);
    await withClient(admin, { step: "verify" }, (client) => advanceMarker(client, run.id, ["restored"], "verified"));
    return {
        proof: createHash("sha256")
            .update(JSON.stringify({ manifest: spec.manifestDigest, checks }))
            .digest("hex"),
        tables: tables.length,
        rows: tables.reduce((sum, { targetRows }) => sum + targetRows, 0),
        passed: checks.filter(({ state }) => state === "passed").length,
        warnings: checks.filter(({ state }) => state === "warning"),
        notRun: checks.filter(({ state }) => state === "not-run"),
    };
});

const unchanged = "nothing that serves was changed: the restored database keeps its incoming name";

/** What Synapse cannot use is no difference, and has an error of its own. */
function different({ incoming, mediaStore }: VerifySpec, checks: readonly Check[]): MigrationError[] {
    const failed = checks.filter(({ id, state }) => state === "failed" && id !== accessCheckId);
    if (failed.length === 0) return [];
    return [
        new MigrationError("SM-E0601", {
            where: `database ${incoming}, media store ${mediaStore}`,
            found: failed.map(({ id, evidence }) => `${id}: ${evidence}`).join("\n"),
            expected: "exactly what the manifest of the dump says",
            changed: unchanged,
        }),
    ];
}

/** A dump of our own was counted in the source; what is imported was counted while it was read. */
async function compare(spec: VerifySpec, address: DatabaseAddress): Promise<Comparison> {
    const options = { oneTimeKeys: spec.oneTimeKeys, owner: spec.database.owner };
    if (spec.replicated === true)
        return compareReplica(
            address,
            await readReplicaManifest(spec.manifestFile, spec.manifestDigest),
            spec.database.owner,
        );
    if (spec.source.kind === "selfHosted" && spec.imported !== true)
        return compareDatabase(address, await readManifest(spec.manifestFile, spec.manifestDigest), options);
    const manifest = await readImportManifest(spec.manifestFile, spec.manifestDigest);
    return compareImported(address, manifest, { ...options, mediaRowsAdded: spec.mediaRowsAdded ?? 0 });
}

async function verifyStore(spec: VerifySpec, address: DatabaseAddress, run: StepRun): Promise<VerifiedMedia> {
    const { source, mediaStorageProvider: provider, remoteCache, acceptMissingMedia: acceptMissing } = spec;
    const bucket =
        provider?.kind === "keep"
            ? await sourceMedia((await readSourceConfig(source)).sections, address, remoteCache, run)
            : undefined;
    try {
        return await verifyMedia(spec.mediaStore, spec.mediaTreeDigest ?? "", address, remoteCache, {
            runDirectory: run.directory,
            user: await targetUser(dirname(spec.mediaStore)),
            bucket,
            acceptMissing,
        });
    } finally {
        bucket?.close();
    }
}

/** Who goes on without media has been told so by the assessment, and has said that it is meant. */
function excused(check: Check, source: VerifySpec["source"]): Check {
    const meant = source.kind !== "selfHosted" && source.media === undefined;
    return meant && check.id === "media.complete" && check.state === "failed" ? { ...check, state: "warning" } : check;
}

async function secretFileCheck(id: string, file: string): Promise<Check> {
    const status = await lstat(file).catch((error: unknown) => {
        if (hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR")) return undefined;
        throw error;
    });
    if (status === undefined) return { id, state: "failed", evidence: `there is no ${file}` };
    const fit = status.isFile() && (status.mode & 0o077) === 0;
    return {
        id,
        state: fit ? "passed" : "failed",
        evidence: fit
            ? "a file that only its owner may read"
            : `mode ${(status.mode & 0o777).toString(8)}${status.isFile() ? "" : ", not a plain file"}`,
    };
}
