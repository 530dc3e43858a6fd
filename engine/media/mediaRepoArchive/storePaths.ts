/** The place of archived media in a Synapse media store. */
import { isStoreName, localContentPath } from "../layout.ts";

/** `url_cache/YYYY-MM-DD/rest`, in old stores `url_cache/aa/bb/rest` (synapse/media/filepath.py); undefined when no path can be made. */
function urlCachePath(mediaId: string): string | undefined {
    const dated = /^\d{4}-\d{2}-\d{2}/.test(mediaId);
    const names = dated
        ? [mediaId.slice(0, 10), mediaId.slice(11)]
        : [mediaId.slice(0, 2), mediaId.slice(2, 4), mediaId.slice(4)];
    return names.every(isStoreName) ? ["url_cache", ...names].join("/") : undefined;
}

/**
 * @param urlCache  the web page that it is a preview of; null for what people sent
 * @returns a path relative to the store; undefined for a media id that no path can be made of
 */
export function storePathOf(mediaId: string, urlCache: string | null): string | undefined {
    // Synapse asks whether there is an address, not whether the column is NULL.
    return urlCache === null || urlCache === "" ? localContentPath(mediaId) : urlCachePath(mediaId);
}
