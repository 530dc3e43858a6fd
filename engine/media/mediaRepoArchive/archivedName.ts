/** Names of files in a media archive that is written: `origin__mediaId.ext`. */

/** For people who look into an archive; matrix-media-repo goes by the manifest. */
const extensions: Readonly<Record<string, string>> = {
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/gif": ".gif",
    "image/webp": ".webp",
    "image/svg+xml": ".svg",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".oga",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "text/plain": ".txt",
};

/**
 * Different for different media, also where upper and lower case are one: `~` is in no media id, and comes in where an id has a dot, which
 * could be taken for an extension, and where it differs from another one only in case.
 *
 * @param twin  1, or the number among media ids that differ only in case
 */
export function archivedName(media: {
    readonly origin: string;
    readonly mediaId: string;
    readonly contentType: string | undefined;
    readonly twin: number;
}): string {
    const { origin, mediaId, contentType, twin } = media;
    if (mediaId.includes(".")) return `${origin}__${mediaId}~${twin}`;
    const extension = extensions[contentType ?? ""] ?? "";
    return `${origin}__${mediaId}${twin === 1 ? "" : `~${twin}`}${extension}`;
}
