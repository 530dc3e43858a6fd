/** Puts the media of a bundle into the target's store, and their rows into its database where that has none. */
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { refuseOtherInputs } from "../../engine/runIdentity/seenInputs.ts";
import { registerUnlocking } from "../../engine/bundle/input/unlocking.ts";
import { importMediaContract, type Check } from "../../contract/index.ts";
import { thisMachine } from "../../engine/machines/local/localMachine.ts";
import { targetUser } from "../../engine/machines/targetUser.ts";
import { checkMediaArchive } from "../../engine/media/mediaRepoArchive/readArchive.ts";
import { insertMediaRows, placeInSynapseStore } from "../../engine/media/mediaRepoArchive/toSynapseStore.ts";
import { brokenMedia, checkCompleteness, type Completeness } from "../../engine/media/completeness.ts";
import { copyPass } from "../../engine/media/sourcePass.ts";
import { carriedFolders, localFolders } from "../../engine/media/layout.ts";
import { completenessChecks, linkChecks } from "../../engine/media/mediaChecks.ts";
import { MediaIndex } from "../../engine/media/mediaIndex.ts";
import { withMediaRows } from "../../engine/media/mediaRows.ts";
import { storeRoot } from "../../engine/media/mediaStore.ts";
import { openStore } from "../../engine/media/readStore.ts";
import { newScanNotes } from "../../engine/media/scan.ts";
import { StoreAccess } from "../../engine/media/storeAccess.ts";
import { requireApart, requirePrepared } from "../../engine/media/targetStore.ts";
import { hashedFiles } from "../../engine/media/treeDigest.ts";
import { TreeList } from "../../engine/media/treeList.ts";
import type { FileContent } from "../../engine/media/copyFile.ts";
import { unpackedMediaDirectory, unpackMedia } from "../../engine/media/unpackMedia.ts";
import { queryOne, withClient, type Client } from "../../engine/postgres/connection.ts";
import { ownerAddress } from "../../engine/postgres/databases/targetAddress.ts";
import { defineStep, type StepRun } from "../../engine/run/step.ts";

type ImportMediaSpec = z.infer<typeof importMediaContract.spec>;

/** What was brought in, whatever it was. */
interface Placed {
    readonly copied: number;
    readonly rowsAdded: number;
    readonly checks: readonly Check[];
    readonly evidence: object;
}

export const importMedia = defineStep(
    importMediaContract,
    async (spec, run) => {
        registerUnlocking(spec);
        const targetRoot = await storeRoot(thisMachine, spec.mediaStore);
        await requirePrepared(targetRoot, run.id);
        await refuseOtherInputs(run.directory, spec.source.media ?? []);
        const placed = await place(spec, targetRoot, run);
        await rm(unpackedMediaDirectory(run.directory), { recursive: true, force: true });
        const found = await run.progress.during("reading every file of the target's store", () =>
            survey(spec, targetRoot, run.directory),
        );
        const broken = brokenMedia(found.completeness, spec.acceptMissingMedia);
        const checks = [...placed.checks, ...completenessChecks(found.completeness, broken), found.access.check()];
        const { files, bytes, treeDigest, completeness } = found;
        await run.evidence({ targetRoot, files, bytes, treeDigest, completeness, ...placed.evidence, checks });
        const unusable = found.access.error("media were put into the target's store; they stay there");
        if (unusable !== undefined) throw unusable;
        return {
            files,
            bytes,
            copied: placed.copied,
            treeDigest,
            missing: broken.count,
            orphans: completeness.orphans.count,
            checks,
            rowsAdded: placed.rowsAdded,
        };
    },
    (_spec, run) => rm(unpackedMediaDirectory(run.directory), { recursive: true, force: true }),
);

async function place(spec: ImportMediaSpec, targetRoot: string, run: StepRun): Promise<Placed> {
    const { source } = spec;
    if (source.media === undefined)
        return { copied: 0, rowsAdded: 0, checks: [], evidence: { media: "none came with the bundle" } };
    const { kind, directory } = await unpackMedia(source.media, {
        workDirectory: run.directory,
        ...{ passphrase: spec.passphrase, secretKey: spec.secretKey },
        signal: run.signal,
        progress: run.progress,
    });
    return kind === "store" ? fromStore(directory, spec, targetRoot, run) : fromArchive(directory, spec, run);
}

async function fromStore(
    directory: string,
    { remoteCache, mediaStore }: ImportMediaSpec,
    targetRoot: string,
    run: StepRun,
): Promise<Placed> {
    const source = await openStore(thisMachine, directory, carriedFolders(remoteCache));
    await requireApart(source, targetRoot);
    const index = await MediaIndex.open(join(run.directory, "media-index.jsonl"));
    try {
        let soFar = { files: 0, bytes: 0, copied: 0 };
        const pass = await run.progress.during(
            "copying media",
            async () =>
                copyPass({
                    source,
                    targetRoot,
                    index,
                    folders: carriedFolders(remoteCache),
                    owner: await targetUser(dirname(mediaStore)),
                    signal: run.signal,
                    onFile: (now) => (soFar = now),
                }),
            () => `${soFar.files} files, ${soFar.bytes} bytes`,
        );
        const { notes } = pass;
        const check: Check =
            notes.foreign.length === 0
                ? { id: "media.names", state: "passed", evidence: "all names are Synapse's" }
                : {
                      id: "media.names",
                      state: "warning",
                      evidence: `${notes.foreign.length} entries with names that Synapse never gives are left out: ${notes.foreign.slice(0, 3).join(", ")}`,
                  };
        return {
            copied: pass.copied,
            rowsAdded: 0,
            checks: [check, ...linkChecks(source.linked)],
            evidence: { media: "store", pass },
        };
    } finally {
        await index.close({ compact: true });
    }
}

async function fromArchive(directory: string, spec: ImportMediaSpec, run: StepRun): Promise<Placed> {
    const { source, mediaStore, incoming } = spec;
    let state = "";
    const onProgress = ({ files, bytes }: { files: number; bytes: number }): void => {
        state = `${files} files, ${bytes} bytes`;
    };
    const [{ signal }, owner] = [run, await targetUser(dirname(mediaStore))];
    const archive = await run.progress.during(
        "comparing the archive with its manifest",
        () => checkMediaArchive(directory, { serverName: source.serverName, signal, onProgress }),
        () => state,
    );
    const placed = await run.progress.during(
        "placing media",
        () =>
            placeInSynapseStore(archive, {
                mediaStore,
                ...(owner === undefined ? {} : { owner }),
                unfit: "leaveOut",
                signal,
                onProgress,
            }),
        () => state,
    );
    const address = await ownerAddress(spec.database, incoming);
    const { inserted, already } = await withClient(
        address,
        { step: "import-media", signal, statementSeconds: 0 },
        async (client) => {
            // An attempt that was killed may have added some: what counts is how many the dump did not have.
            const dumped = await run.recorded("count-media-rows", () => mediaRowCount(client));
            await insertMediaRows(client, placed.rows);
            const inserted = (await mediaRowCount(client)) - dumped;
            return { inserted, already: placed.rows.length - inserted };
        },
    );
    const left = placed.leftOut;
    const check: Check = {
        id: "media.archive",
        state: left.count === 0 ? "passed" : "warning",
        evidence:
            left.count === 0
                ? `${archive.items.length} media as the manifest says; ${inserted} rows were added, ${already} were there`
                : `${left.count} media that Synapse cannot hold were left out: ${left.first.slice(0, 3).join(", ")}`,
    };
    const { withoutThumbnails, files, bytes } = placed;
    return {
        copied: files - placed.kept,
        rowsAdded: inserted,
        checks: [check],
        evidence: {
            media: `archive of matrix-media-repo, version ${archive.version}`,
            archive: { entityId: archive.entityId, items: archive.items.length, bytes: archive.bytes },
            placed: { files, bytes, leftOut: left, withoutThumbnails },
            unlisted: archive.unlisted,
            rows: { inserted, already },
        },
    };
}

async function mediaRowCount(client: Client): Promise<number> {
    const sql = "SELECT count(*)::text AS rows FROM public.local_media_repository";
    return (await queryOne(client, z.object({ rows: z.coerce.number() }), sql)).rows;
}

interface Surveyed {
    readonly files: number;
    readonly bytes: number;
    readonly treeDigest: string;
    readonly completeness: Completeness;
    readonly access: StoreAccess;
}

/** Every file of the target's store, against the rows of the database that it belongs to. */
async function survey(spec: ImportMediaSpec, targetRoot: string, runDirectory: string): Promise<Surveyed> {
    const list = await TreeList.begin(runDirectory);
    try {
        return await surveyInto(list, spec, targetRoot);
    } finally {
        await list.close();
    }
}

async function surveyInto(list: TreeList, spec: ImportMediaSpec, targetRoot: string): Promise<Surveyed> {
    const access = await StoreAccess.of(targetRoot, await targetUser(dirname(spec.mediaStore)));
    const local = new Map<string, FileContent>();
    let [files, bytes] = [0, 0];
    const folders = carriedFolders(spec.remoteCache);
    for await (const file of hashedFiles(targetRoot, folders, newScanNotes(), undefined, access.see)) {
        await list.add(file);
        files++;
        bytes += file.size;
        if (localFolders.some((folder) => file.path.startsWith(`${folder}/`))) local.set(file.path, file);
    }
    const address = await ownerAddress(spec.database, spec.incoming);
    const completeness = await withMediaRows(address, { step: "import-media" }, (rows) =>
        checkCompleteness({ ...rows, file: (path) => local.get(path), paths: () => local.keys() }),
    );
    return { files, bytes, treeDigest: await list.finish(), completeness, access };
}
