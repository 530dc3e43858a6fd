/** Puts the media of a checked archive into a Synapse media store, and says which rows Synapse needs for it. */
import { lstat } from "node:fs/promises";
import { join } from "node:path";
import { thisMachine } from "../../machines/local/localMachine.ts";
import { MigrationError } from "../../run/errors.ts";
import { removeBelow } from "../../run/heldDirectory.ts";
import { copyFile, hashFile, type Owner } from "../copyFile.ts";
import type { Listed } from "../completeness.ts";
import { inOrder } from "../inOrder.ts";
import { storeRoot } from "../mediaStore.ts";
import { filesAtOnce } from "../treeDigest.ts";
import { longestMediaBytes, type LocalMediaRow } from "./localMediaTable.ts";
import {
    describeListed,
    newListed,
    note,
    oneByOne,
    type ArchivedMedia,
    type FilesDone,
    type MediaArchive,
} from "./mediaArchive.ts";
import { storePathOf } from "./storePaths.ts";

export { insertMediaRows, type LocalMediaRow } from "./localMediaTable.ts";

export interface PlaceInSynapseStoreOptions {
    /** The target's store, as `prepareStore` made it. */
    readonly mediaStore: string;
    /** Who Synapse runs as. */
    readonly owner?: Owner;
    /**
     * Since when the source gave out new media only to who asked with a token (`enable_authenticated_media`, Synapse 1.120 and later), in
     * milliseconds since 1970. Absent: everything stays reachable by its old, open address, as it was before there were such servers; that
     * is also what the column's default says of old rows. Archives that say it themselves are believed.
     */
    readonly authenticatedSince?: number;
    /** What to do with media that Synapse cannot hold; refuse when absent. */
    readonly unfit?: "refuse" | "leaveOut";
    readonly signal?: AbortSignal;
    readonly onProgress?: FilesDone;
}

export interface PlacedMedia {
    /** Media in the store now, and their bytes. */
    readonly files: number;
    readonly bytes: number;
    /** Of these, those that were there already, with the same content. */
    readonly kept: number;
    /** For `insertMediaRows`. */
    readonly rows: readonly LocalMediaRow[];
    /** Media ids that were left out because Synapse cannot hold them. */
    readonly leftOut: Listed;
    /**
     * Pictures that have no thumbnails now: archives carry none, and Synapse makes those of local media when it is uploaded. With
     * `dynamic_thumbnails: true` it makes them when they are asked for; without, it answers 400 to every request for one.
     */
    readonly withoutThumbnails: number;
}

/** Types that Synapse makes thumbnails of (synapse/config/repository.py). */
const pictureTypes: readonly (string | undefined)[] = [
    "image/jpeg",
    "image/jpg",
    "image/webp",
    "image/gif",
    "image/png",
];

/**
 * Copies what is not there yet. Safe to repeat, and to kill.
 *
 * @throws MigrationError SM-E0964 when Synapse cannot hold media of the archive, SM-E0965 when the store has other content under an id of
 *     the archive, both before anything is copied; SM-E0962 when a file of the archive changes meanwhile, SM-E0963 when there is no store
 */
export async function placeInSynapseStore(
    archive: MediaArchive,
    options: PlaceInSynapseStoreOptions,
): Promise<PlacedMedia> {
    const root = await storeRoot(thisMachine, options.mediaStore);
    const { placed, leftOut } = places(archive, options.unfit ?? "refuse");
    const present = await presentFiles(root, placed, options.signal);
    let [files, bytes] = [0, 0];
    const work = async ({ item, path }: Place): Promise<ArchivedMedia> => {
        if (!present.has(path)) await copyItem(item, { root, path }, options);
        return item;
    };
    for await (const { sizeBytes } of inOrder(oneByOne(placed), filesAtOnce, work)) {
        files++;
        bytes += sizeBytes;
        options.onProgress?.({ files, bytes });
    }
    return {
        files,
        bytes,
        kept: present.size,
        rows: placed.map(({ item }) => rowOf(item, options.authenticatedSince)),
        leftOut,
        withoutThumbnails: placed.filter(({ item }) => pictureTypes.includes(item.contentType)).length,
    };
}

interface Place {
    readonly item: ArchivedMedia;
    /** Relative to the store. */
    readonly path: string;
}

function places(archive: MediaArchive, unfit: "refuse" | "leaveOut"): { placed: readonly Place[]; leftOut: Listed } {
    const [leftOut, tooLong, nameless] = [newListed(), newListed(), newListed()];
    const taken = new Set<string>();
    const placed = archive.items.flatMap((item) => {
        const path = storePathOf(item.mediaId, item.synapse?.urlCache ?? null);
        const fits = item.sizeBytes <= longestMediaBytes;
        if (!fits) note(tooLong, item.mediaId);
        if (path === undefined || taken.has(path)) note(nameless, item.mediaId);
        else if (fits) {
            taken.add(path);
            return [{ item, path }];
        }
        note(leftOut, item.mediaId);
        return [];
    });
    if (leftOut.count > 0 && unfit === "refuse") {
        const found = [
            ...(tooLong.count === 0 ? [] : [describeListed(tooLong, "longer than 2 GiB")]),
            ...(nameless.count === 0 ? [] : [describeListed(nameless, "with an id that Synapse makes no path of")]),
        ];
        throw new MigrationError("SM-E0964", {
            where: `the media archive of ${archive.entityId}`,
            found: found.join("\n"),
            expected: `ids of five and more characters, at most ${longestMediaBytes} bytes each`,
        });
    }
    return { placed, leftOut };
}

/** Paths that have the right content already. */
async function presentFiles(
    root: string,
    placed: readonly Place[],
    signal: AbortSignal | undefined,
): Promise<ReadonlySet<string>> {
    const present = new Set<string>();
    const different = newListed();
    const work = async ({ item, path }: Place) => {
        const found = await lstat(join(root, path)).catch(() => undefined);
        if (found === undefined) return { path, state: "absent" } as const;
        const same =
            found.isFile() &&
            found.size === item.sizeBytes &&
            (await hashFile(join(root, path), signal)).sha256 === item.sha256;
        return { path, state: same ? "same" : "different" } as const;
    };
    for await (const { path, state } of inOrder(oneByOne(placed), filesAtOnce, work)) {
        if (state === "same") present.add(path);
        if (state === "different") note(different, path);
    }
    if (different.count === 0) return present;
    throw new MigrationError("SM-E0965", {
        where: root,
        found: describeListed(different, "files with other content than the archive's"),
        expected: "a store without media of these ids, or with the same",
    });
}

async function copyItem(
    item: ArchivedMedia,
    target: { readonly root: string; readonly path: string },
    { owner, signal }: PlaceInSynapseStoreOptions,
): Promise<void> {
    const content = await copyFile(thisMachine.files, { path: item.path, size: item.sizeBytes }, target, owner, signal);
    if (content?.sha256 === item.sha256) return;
    await removeBelow(target.root, target.path);
    throw new MigrationError("SM-E0962", {
        where: item.path,
        found: "it changed after the archive was checked",
        expected: `SHA-256 ${item.sha256}`,
        changed: "media of the archive was copied into the target's store; it stays there for another try",
    });
}

function rowOf(item: ArchivedMedia, authenticatedSince: number | undefined): LocalMediaRow {
    const known = item.synapse;
    return {
        mediaId: item.mediaId,
        mediaType: item.contentType ?? null,
        mediaLength: item.sizeBytes,
        createdTs: item.createdTs,
        uploadName: item.uploadName ?? null,
        userId: item.uploader ?? null,
        quarantinedBy: known?.quarantinedBy ?? null,
        urlCache: known?.urlCache ?? null,
        lastAccessTs: known?.lastAccessTs ?? null,
        safeFromQuarantine: known?.safeFromQuarantine ?? false,
        authenticated:
            known?.authenticated ?? (authenticatedSince !== undefined && item.createdTs >= authenticatedSince),
        sha256: item.sha256,
    };
}
