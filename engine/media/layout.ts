/** Where Synapse keeps media: folders and paths of a media store (synapse/media/filepath.py). All paths here are relative to the store. */

/** The homeserver's own media. Nobody else has a copy. */
export const localFolders = ["local_content", "local_thumbnails"] as const;
/** Copies of other servers' media and previews of web pages: fetched again by Synapse when they are gone. */
const cacheFolders = ["remote_content", "remote_thumbnail", "url_cache", "url_cache_thumbnails"] as const;

/** Folders that move, in the order in which they are walked. */
export function carriedFolders(remoteCache: "carry" | "drop"): readonly string[] {
    return remoteCache === "carry" ? [...localFolders, ...cacheFolders] : localFolders;
}

/** Folders of what Synapse gives to its storage providers: no previews of web pages (synapse/media/media_storage.py). */
export function providedFolders(remoteCache: "carry" | "drop"): readonly string[] {
    return remoteCache === "carry" ? [...localFolders, "remote_content", "remote_thumbnail"] : localFolders;
}

/** Names that Synapse gives, but for `.` and `..`, which no directory lists. */
export const storeNames = /[A-Za-z0-9_\-.[\]:]+/;
const wholeName = new RegExp(`^${storeNames.source}$`);

/**
 * Whether Synapse would use a name for a file or folder (`_validate_path_component`). Others cannot be served, and may be meant to leave
 * the store: `..`, names with slashes or line ends.
 */
export function isStoreName(name: string): boolean {
    return wholeName.test(name) && name !== "." && name !== "..";
}

/** `local_content/aa/bb/rest`; undefined for a media id that no path can be made of. Media ids are case-sensitive. */
export function localContentPath(mediaId: string): string | undefined {
    return pathOf("local_content", ...idParts(mediaId));
}

export interface Thumbnail {
    readonly mediaId: string;
    readonly width: number;
    readonly height: number;
    /** `image/png` */
    readonly type: string;
    /** `crop` or `scale`. */
    readonly method: string;
}

/** `local_thumbnails/aa/bb/rest/W-H-type-subtype-method`; undefined when no path can be made of it. */
export function localThumbnailPath(thumbnail: Thumbnail): string | undefined {
    const name = thumbnailName(thumbnail);
    return name === undefined ? undefined : pathOf("local_thumbnails", ...idParts(thumbnail.mediaId), name);
}

/** `remote_content/<server>/aa/bb/rest`; undefined when no path can be made of it. */
export function remoteContentPath(origin: string, filesystemId: string): string | undefined {
    return pathOf("remote_content", origin, ...idParts(filesystemId));
}

/** `remote_thumbnail/<server>/aa/bb/rest/W-H-type-subtype-method`; the thumbnail's media id is that of the file system. */
export function remoteThumbnailPath(origin: string, thumbnail: Thumbnail): string | undefined {
    const name = thumbnailName(thumbnail);
    return name === undefined ? undefined : pathOf("remote_thumbnail", origin, ...idParts(thumbnail.mediaId), name);
}

/** The media id that a path below `local_content` belongs to; undefined for any other path. */
export function mediaIdOf(path: string): string | undefined {
    const [folder, first, second, rest, ...more] = path.split("/");
    if (folder !== "local_content" || first === undefined || second === undefined || rest === undefined)
        return undefined;
    const mediaId = first + second + rest;
    return more.length === 0 && localContentPath(mediaId) === path ? mediaId : undefined;
}

function thumbnailName({ width, height, type, method }: Thumbnail): string | undefined {
    const [top = "", sub = "", ...more] = type.split("/");
    return more.length > 0 ? undefined : `${width}-${height}-${top}-${sub}-${method}`;
}

function idParts(mediaId: string): string[] {
    return [mediaId.slice(0, 2), mediaId.slice(2, 4), mediaId.slice(4)];
}

function pathOf(...names: string[]): string | undefined {
    return names.every(isStoreName) ? names.join("/") : undefined;
}
