/** What the early and the final pass have in common, and in what they differ. */
import { dirname, join } from "node:path";
import type { z } from "zod";
import type { mediaEarlyContract } from "../../contract/index.ts";
import { readToken } from "../fence/fenceToken.ts";
import { thisMachine } from "../machines/local/localMachine.ts";
import { placeOn } from "../machines/placeOn.ts";
import { targetUser } from "../machines/targetUser.ts";
import type { DatabaseAddress } from "../postgres/connection.ts";
import { sourceAddress } from "../postgres/databases/sourceDatabase.ts";
import { ownerAddress } from "../postgres/databases/targetAddress.ts";
import { MigrationError, throwAll } from "../run/errors.ts";
import { RateLimit } from "../run/rateLimit.ts";
import type { StepRun } from "../run/step.ts";
import type { HomeserverConfig } from "../synapse/config/homeserverConfig.ts";
import { readSourceConfig } from "../synapse/config/sourceConfig.ts";
import { brokenMedia, checkCompleteness, type Completeness, type SeenFile } from "./completeness.ts";
import { copyPass, walkDigest, type CopyPass, type CopyPassArgs } from "./sourcePass.ts";
import { carriedFolders, localFolders } from "./layout.ts";
import { completenessChecks, linkChecks, namedAtMost } from "./mediaChecks.ts";
import { incomplete, passChecks, rowsNotRead } from "./passFindings.ts";
import { lookAgain } from "./secondLook.ts";
import { MediaIndex } from "./mediaIndex.ts";
import { withMediaRows } from "./mediaRows.ts";
import { storeRoot } from "./mediaStore.ts";
import { bucketCheck, fetchMissing, sourceMedia } from "./s3/bucketMedia.ts";
import type { SourceMedia } from "./s3/sourceMedia.ts";
import { uploadCheck, uploadMedia } from "./s3/uploadPass.ts";
import { openStore, type ReadStore } from "./readStore.ts";
import { targetPass } from "./targetPass.ts";
import { requireApart, requirePrepared } from "./targetStore.ts";

export type MediaSpec = z.infer<typeof mediaEarlyContract.spec>;
export type MediaResult = z.infer<typeof mediaEarlyContract.result>;

/**
 * Copies media and compares it with the source's database.
 *
 * The early pass runs beside a working homeserver: files come and go. The final pass proves each copy by its content and, when it comes
 * after a fence, that nothing in the source's store moved meanwhile. The rate at which the store's files
 * are read may be limited; that of a bucket's is not.
 *
 * @throws MigrationError SM-E0962 when media that the database promises is missing or altered, SM-E0967 when another list of missing
 *     media is accepted, SM-E0963 when one of the stores is not what it should be, SM-E0840 when the target's user cannot use a copy,
 *     SM-E0703 when the fence token is not that of the fence, SM-E1201 when the target is full, SM-E0990 to SM-E0994
 *     for a bucket that the source keeps media in
 */
export async function mediaPass(spec: MediaSpec, run: StepRun, kind: "early" | "final"): Promise<MediaResult> {
    const isFenced = kind === "final" && spec.fenceToken !== undefined;
    if (spec.fenceToken !== undefined) await readToken(run.directory, spec.fenceToken);
    const config = await readSourceConfig(spec.source);
    const source = await openStore(config.machine, config.mediaStorePath, carriedFolders(spec.remoteCache));
    const targetRoot = await storeRoot(thisMachine, spec.mediaStore);
    await requireApart(source, targetRoot);
    await requirePrepared(targetRoot, run.id);
    const address = await rowsAddress(spec, config, kind);
    const isKept = spec.mediaStorageProvider?.kind === "keep";

    const index = await MediaIndex.open(join(run.directory, "media-index.jsonl"));
    let media: SourceMedia | undefined;
    let whole = false;
    try {
        media = address === undefined ? undefined : await sourceMedia(config.sections, address, spec.remoteCache, run);
        let soFar = { files: 0, bytes: 0, copied: 0 };
        const args: CopyPassArgs = {
            source,
            targetRoot,
            index,
            folders: carriedFolders(spec.remoteCache),
            owner: await targetUser(dirname(spec.mediaStore)),
            signal: run.signal,
            elsewhere: media,
            limit: spec.bytesPerSecond === undefined ? undefined : new RateLimit(spec.bytesPerSecond),
            onFile: (now) => (soFar = now),
        };
        const state = (): string => `${soFar.files} files, ${soFar.bytes} bytes, ${soFar.copied} of them copied`;
        const { seen, ...pass } = await run.progress.during("copying media", () => copyPass(args), state);
        const fetched =
            media === undefined || isKept
                ? undefined
                : await fetchMissing({ ...args, media, seen, onFile: (now) => (soFar = now) }, run, state);
        if (isFenced) await requireStill(args, pass);
        const target =
            kind === "early"
                ? undefined
                : await run.progress.during("reading every copy", () => targetPass(args, carriedFolders("carry"), run));
        const uploaded =
            spec.mediaStorageProvider?.kind === "s3"
                ? await uploadMedia(spec.mediaStorageProvider, { ...args, remoteCache: spec.remoteCache }, run)
                : undefined;
        const file = (path: string): SeenFile | undefined =>
            index.get(path) ?? (isKept ? media?.object(path) : undefined);
        const suspects = new Set<string>();
        const completeness =
            address === undefined ? undefined : await compared(address, index, { file, suspects, run, kind }, source);
        const broken = completeness === undefined ? undefined : brokenMedia(completeness, spec.acceptMissingMedia);
        const checks = [
            ...(completeness === undefined || broken === undefined
                ? [rowsNotRead]
                : completenessChecks(completeness, broken)),
            ...passChecks(pass, target),
            ...(target === undefined ? [] : [target.access.check()]),
            ...linkChecks(source.linked),
            ...(media === undefined ? [] : [bucketCheck(media, fetched, seen)]),
            ...(uploaded === undefined ? [] : [uploadCheck(uploaded)]),
        ];
        const { access, ...copies } = target ?? {};
        const read = target === undefined ? undefined : copies;
        await run.evidence({
            kind,
            sourceRoot: source.root,
            targetRoot,
            ...pass,
            fetched,
            uploaded,
            target: read,
            completeness,
            checks,
        });
        const unusable = access?.error("files were copied to the target's store; those stay, and are not copied again");
        throwAll([
            ...(completeness !== undefined && broken !== undefined && broken.count > 0
                ? [incomplete(source, completeness, broken)]
                : []),
            ...(unusable === undefined ? [] : [unusable]),
        ]);
        whole = true;
        return {
            files: pass.files + (fetched?.files ?? 0),
            bytes: pass.bytes + (fetched?.bytes ?? 0),
            copied: pass.copied + (fetched?.copied ?? 0),
            treeDigest: target?.treeDigest ?? pass.treeDigest,
            missing: broken?.count ?? 0,
            orphans: completeness?.orphans.count ?? 0,
            checks,
        };
    } finally {
        media?.close();
        await index.close({ compact: whole });
    }
}

/** Where the rows are that say which media there are; undefined where nobody may ask yet. */
async function rowsAddress(
    { source, loaded }: MediaSpec,
    { database }: HomeserverConfig,
    kind: "early" | "final",
): Promise<DatabaseAddress | undefined> {
    if (loaded !== undefined) return ownerAddress(loaded.database, loaded.incoming);
    return database.kind === "sqlite" && kind === "early" ? undefined : sourceAddress(source);
}

async function compared(
    address: DatabaseAddress,
    index: MediaIndex,
    looked: Looked,
    source: ReadStore,
): Promise<Completeness> {
    const seen = await compare(address, index, looked);
    return looked.kind === "early" ? stillBroken(seen, looked.suspects, { ...looked, source, address }) : seen;
}

/** After the fence the store must not change. If it does, another program writes to it, which the fence did not stop. */
async function requireStill(args: CopyPassArgs, pass: Omit<CopyPass, "seen">): Promise<void> {
    const moved = pass.changing.length > 0 || (await walkDigest(args)) !== pass.walk;
    if (!moved) return;
    throw new MigrationError("SM-E0963", {
        where: placeOn(args.source.machine, args.source.root),
        found: `it changed while it was copied${pass.changing.length > 0 ? `: ${pass.changing.slice(0, namedAtMost).join(", ")}` : ""}`,
        expected: "a store that stands still once the homeserver is stopped",
        fix: "who else writes there: a worker, a media importer, another homeserver? Stop it, then run the same command again",
        changed: "files were copied; those stay, and are not copied again",
    });
}

interface Looked {
    readonly file: (path: string) => SeenFile | undefined;
    /** Gets the ids of all media of which something is wrong. */
    readonly suspects: Set<string>;
    readonly run: StepRun;
    readonly kind: "early" | "final";
}

async function compare(
    address: DatabaseAddress,
    index: MediaIndex,
    { file, suspects, run, kind }: Looked,
): Promise<Completeness> {
    return withMediaRows(address, { step: `media-${kind}`, signal: run.signal }, (rows) =>
        checkCompleteness({
            ...rows,
            file,
            onBroken: (mediaId) => suspects.add(mediaId),
            paths: () =>
                [...index.paths()].filter((path) => localFolders.some((folder) => path.startsWith(`${folder}/`))),
        }),
    );
}

/** Of a homeserver that runs, what was uploaded or deleted between the walk and the look into the database is looked at once more. */
async function stillBroken(
    before: Completeness,
    suspects: ReadonlySet<string>,
    { source, file, address, run }: { source: ReadStore; address: DatabaseAddress } & Pick<Looked, "file" | "run">,
): Promise<Completeness> {
    if (suspects.size === 0) return before;
    const read = async (path: string): Promise<SeenFile | undefined> =>
        source.machine.files.hash(join(source.root, path), run.signal).catch((error: unknown) => {
            if (error instanceof MigrationError) throw error;
            return file(path);
        });
    const again = await lookAgain(suspects, read, address, { step: "media-early", signal: run.signal });
    const { missing, acceptance, resized, altered, unsafe } = again;
    return { ...before, missing, acceptance, resized, altered, unsafe };
}
