/** Compares what a database says of the homeserver's own media with the files that are there. */
import { localContentPath, localThumbnailPath, type Thumbnail } from "./layout.ts";
import { acceptanceOf, otherList } from "./missingMedia.ts";

/** A row of `local_media_repository` that is not a preview of a web page (`url_cache IS NULL`). */
export interface MediaRow {
    readonly mediaId: string;
    /** Bytes; null for media that was announced and never uploaded (`create_media`). */
    readonly length: number | null;
    /** Lower-case hexadecimal; null in rows from before schema version 91. */
    readonly sha256: string | null;
}

/** A row of `local_media_repository_thumbnails`. */
export interface ThumbnailRow extends Thumbnail {
    readonly length: number;
}

/** How many there are, and the first of them. */
export interface Listed {
    count: number;
    readonly first: string[];
}

export interface Completeness {
    /** Media that must be there. */
    expected: number;
    pending: number;
    /** Media ids without a file, and what accepts exactly these: see {@link acceptanceOf}. */
    readonly missing: Listed;
    acceptance: string;
    /** Media ids whose file has another size. */
    readonly resized: Listed;
    /** Media ids whose file has another SHA-256. */
    readonly altered: Listed;
    /** Media ids that no path can be made of, because it would leave the store. */
    readonly unsafe: Listed;
    /** Synapse makes these again when it is asked for them. */
    readonly thumbnails: { expected: number; readonly missing: Listed; readonly resized: Listed };
    /** Files that no row knows. Harmless: they may be what a deletion left. */
    readonly orphans: Listed;
}

const longestList = 1000;

export interface SeenFile {
    readonly size: number;
    readonly sha256?: string | undefined;
}

export interface CompletenessArgs {
    readonly media: AsyncIterable<MediaRow>;
    readonly thumbnails: AsyncIterable<ThumbnailRow>;
    /** The file at a path of the store; without a SHA-256 where its content was not read. */
    readonly file: (path: string) => SeenFile | undefined;
    /** All paths of the folders of local media. */
    readonly paths: () => Iterable<string>;
    /** Told each media id of which something is wrong: unlike the lists, all of them. */
    readonly onBroken?: (mediaId: string) => void;
}

/** Reads all rows once; keeps their paths in memory to find the files that none of them knows. */
export async function checkCompleteness(args: CompletenessArgs): Promise<Completeness> {
    const found: Completeness = {
        expected: 0,
        pending: 0,
        missing: listed(),
        acceptance: acceptanceOf([]),
        resized: listed(),
        altered: listed(),
        unsafe: listed(),
        thumbnails: { expected: 0, missing: listed(), resized: listed() },
        orphans: listed(),
    };
    const known = new Set<string>();
    const missing: string[] = [];
    const broken = (list: Listed, mediaId: string): void => {
        add(list, mediaId);
        args.onBroken?.(mediaId);
    };
    for await (const row of args.media) {
        const path = localContentPath(row.mediaId);
        if (path !== undefined) known.add(path);
        if (row.length === null) {
            found.pending++;
            continue;
        }
        found.expected++;
        const file = path === undefined ? undefined : args.file(path);
        if (path === undefined) broken(found.unsafe, row.mediaId);
        else if (file === undefined) {
            missing.push(row.mediaId);
            broken(found.missing, row.mediaId);
        } else if (file.size !== row.length) broken(found.resized, row.mediaId);
        else if (row.sha256 !== null && file.sha256 !== undefined && file.sha256 !== row.sha256)
            broken(found.altered, row.mediaId);
    }
    found.acceptance = acceptanceOf(missing);
    for await (const row of args.thumbnails) {
        const path = localThumbnailPath(row);
        found.thumbnails.expected++;
        if (path !== undefined) known.add(path);
        const file = path === undefined ? undefined : args.file(path);
        const name = `${row.mediaId} ${row.width}x${row.height} ${row.method}`;
        if (file === undefined) add(found.thumbnails.missing, name);
        else if (file.size !== row.length) add(found.thumbnails.resized, name);
    }
    for (const path of args.paths()) if (!known.has(path)) add(found.orphans, path);
    return found;
}

/** What is wrong with the homeserver's own media, and what of it somebody has accepted. */
export interface BrokenMedia {
    readonly count: number;
    /** Media ids, each with what is wrong. */
    readonly first: readonly string[];
    /** Media without a file that do not count, because exactly these are accepted. */
    readonly accepted: number;
    /** Present when another list of media without a file is accepted than the one that was found. */
    readonly otherList?: string;
}

/** @param accepted  config `acceptMissingMedia`: of use for exactly the list that it was made of */
export function brokenMedia(found: Completeness, accepted?: string): BrokenMedia {
    const isAccepted = found.missing.count > 0 && accepted === found.acceptance;
    const kinds = (["missing", "resized", "altered", "unsafe"] as const).filter(
        (kind) => kind !== "missing" || !isAccepted,
    );
    const isOther = found.missing.count > 0 && accepted !== undefined && !isAccepted;
    return {
        count: kinds.reduce((sum, kind) => sum + found[kind].count, 0),
        first: kinds.flatMap((kind) => found[kind].first.map((mediaId) => `${mediaId} (${wrong[kind]})`)),
        accepted: isAccepted ? found.missing.count : 0,
        ...(isOther ? { otherList: otherList(found.acceptance, accepted) } : {}),
    };
}

const wrong = {
    missing: "no file",
    resized: "file of another size",
    altered: "file with another SHA-256",
    unsafe: "an id that is no file name",
} as const;

function listed(): Listed {
    return { count: 0, first: [] };
}

function add(list: Listed, text: string): void {
    list.count++;
    if (list.first.length < longestList) list.first.push(text);
}
