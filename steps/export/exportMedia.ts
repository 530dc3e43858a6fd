/** Puts the source's media into the bundle twice: as matrix-media-repo exports them, and as Synapse's store has them. */
import { rm } from "node:fs/promises";
import { z } from "zod";
import { mediaSpool, requireOwnBundle, takeBackArtefact } from "../../engine/bundle/write/bundleDirectory.ts";
import { keepSection, type MediaSection } from "../../engine/bundle/write/bundleManifest.ts";
import {
    mediaBackupFolder,
    mediaBackupName,
    mediaExportFolder,
    mediaExportName,
} from "../../engine/bundle/write/bundleNames.ts";
import { writeArtefact, type ArtefactPlace } from "../../engine/bundle/write/artefact.ts";
import { packDirectory } from "../../engine/bundle/archives/packDirectory.ts";
import { packMediaStore } from "../../engine/media/packStore.ts";
import { placeOn } from "../../engine/machines/placeOn.ts";
import { exportMediaContract, type Check } from "../../contract/index.ts";
import { brokenMedia, checkCompleteness, type Completeness } from "../../engine/media/completeness.ts";
import type { FileContent } from "../../engine/media/copyFile.ts";
import { carriedFolders, localFolders } from "../../engine/media/layout.ts";
import { writeMediaArchive, type WrittenMediaArchive } from "../../engine/media/mediaRepoArchive/fromSynapseStore.ts";
import { completenessChecks, linkChecks } from "../../engine/media/mediaChecks.ts";
import { withMediaRows } from "../../engine/media/mediaRows.ts";
import { openStore, type ReadStore } from "../../engine/media/readStore.ts";
import { newScanNotes, type ScanNotes } from "../../engine/media/scan.ts";
import { TreeDigest } from "../../engine/media/treeDigest.ts";
import { withClient, type DatabaseAddress } from "../../engine/postgres/connection.ts";
import { sourceAddress } from "../../engine/postgres/databases/sourceDatabase.ts";
import { MigrationError } from "../../engine/run/errors.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";
import { readSourceConfig } from "../../engine/synapse/config/sourceConfig.ts";

type ExportMediaSpec = z.infer<typeof exportMediaContract.spec>;

const step = "export-media";

export const exportMedia = defineStep(
    exportMediaContract,
    async (spec, run) => {
        const { bundle, passphrase, source } = spec;
        await requireOwnBundle(bundle.directory, run.directory);
        const began = performance.now();
        const address = await sourceAddress(source);
        const { machine, mediaStorePath } = await readSourceConfig(source);
        const store = await openStore(machine, mediaStorePath, carriedFolders(spec.remoteCache));
        const place = { bundle, passphrase, runDirectory: run.directory, signal: run.signal };
        const exported = await exportArchive(spec, { address, store, place }, run);
        const stored = await backUpStore(spec, { address, store, place }, run);
        const { backup, checks, completeness, notes } = stored;
        const section: MediaSection = {
            export: exported.section,
            backup,
            leftOut: [...exported.leftOut, ...leftOutOfStore(spec, notes)],
        };
        const seconds = (performance.now() - began) / 1000;
        await run.evidence({ ...section, archive: exported.archive, completeness, notes, checks, seconds });
        const artefacts = [section.export.artefact, section.backup.artefact];
        const { media, longestBytes } = section.export;
        return { ...(await keepSection("media", section, artefacts, seconds, run.directory)), media, longestBytes };
    },
    async ({ bundle }, run) => {
        await rm(mediaSpool(run.directory), { recursive: true, force: true });
        for (const name of [mediaExportName, mediaBackupName])
            await takeBackArtefact(bundle.directory, name, run.directory);
    },
);

interface Media {
    readonly address: DatabaseAddress;
    /** The source's. */
    readonly store: ReadStore;
    readonly place: ArtefactPlace;
}

/** matrix-media-repo's importer opens every file of the folder: nothing but its archives may be in it. */
async function exportArchive(
    { source, acceptMissingMedia }: ExportMediaSpec,
    { address, store, place }: Media,
    run: StepRun,
): Promise<{ section: MediaSection["export"]; leftOut: string[]; archive: Omit<WrittenMediaArchive, "parts"> }> {
    const spool = mediaSpool(run.directory);
    await rm(spool, { recursive: true, force: true });
    let state = "";
    try {
        const { parts, ...archive } = await run.progress.during(
            "exporting media as matrix-media-repo does",
            () =>
                withClient(address, { step, statementSeconds: 0, signal: run.signal }, (client) =>
                    writeMediaArchive(client, {
                        serverName: source.serverName,
                        machine: store.machine,
                        mediaStore: store.root,
                        destination: spool,
                        acceptMissing: acceptMissingMedia,
                        signal: run.signal,
                        onProgress: ({ files, bytes }) => (state = `${files} media, ${bytes} bytes`),
                    }),
                ),
            () => state,
        );
        const content = packDirectory(spool, { prefix: mediaExportFolder, signal: run.signal });
        const artefact = await run.progress.during("packing and encrypting the export of the media", () =>
            writeArtefact(mediaExportName, content, "media", place),
        );
        const { media, bytes, longestBytes, previews, quarantined, pending, missing } = archive;
        return {
            section: {
                artefact,
                parts: [...parts],
                media,
                bytes,
                longestBytes,
                previews,
                quarantined: quarantined.count,
            },
            leftOut: [
                ...(pending === 0 ? [] : [`${pending} media that were announced and never uploaded`]),
                ...(missing.count === 0 ? [] : [`${missing.count} media that had no file at the source`]),
            ],
            archive,
        };
    } finally {
        await rm(spool, { recursive: true, force: true });
    }
}

interface StoredMedia {
    readonly backup: MediaSection["backup"];
    readonly checks: readonly Check[];
    readonly completeness: Completeness;
    readonly notes: ScanNotes;
}

/** Every file is read once: for the archive, for its SHA-256, and for the comparison with what the database promises. */
async function backUpStore(
    { remoteCache, acceptMissingMedia }: ExportMediaSpec,
    { address, store, place }: Media,
    run: StepRun,
): Promise<StoredMedia> {
    const notes = newScanNotes();
    const folders = carriedFolders(remoteCache);
    const local = new Map<string, FileContent>();
    const digest = new TreeDigest();
    let [files, bytes] = [0, 0];
    const content = packMediaStore({
        ...{ store, folders, prefix: mediaBackupFolder, notes, signal: run.signal },
        onFile: (file) => {
            digest.add(file);
            files++;
            bytes += file.size;
            if (localFolders.some((folder) => file.path.startsWith(`${folder}/`))) local.set(file.path, file);
        },
    });
    const artefact = await run.progress.during(
        "packing and encrypting the media store",
        () => writeArtefact(mediaBackupName, content, "media", place),
        () => `${files} files, ${bytes} bytes`,
    );
    const completeness = await withMediaRows(address, { step, signal: run.signal }, (rows) =>
        checkCompleteness({ ...rows, file: (path) => local.get(path), paths: () => local.keys() }),
    );
    const broken = brokenMedia(completeness, acceptMissingMedia);
    if (broken.count > 0)
        throw new MigrationError("SM-E0962", {
            where: placeOn(store.machine, store.root),
            found: broken.first.slice(0, 5).join("\n"),
            expected: "each medium of the database with its file",
        });
    const checks = [...completenessChecks(completeness, broken), ...linkChecks(store.linked)];
    return {
        backup: { artefact, files, bytes, treeDigest: digest.value(), folders: [...folders] },
        ...{ checks, completeness, notes },
    };
}

function leftOutOfStore({ remoteCache }: ExportMediaSpec, { foreign, partial }: ScanNotes): string[] {
    return [
        ...(remoteCache === "drop" ? ["cached media of other servers: they are fetched again"] : []),
        ...(foreign.length > 0
            ? [`${foreign.length} files of the media store with names that Synapse never gives`]
            : []),
        ...(partial.length > 0 ? [`${partial.length} partial copies in the media store`] : []),
    ];
}
