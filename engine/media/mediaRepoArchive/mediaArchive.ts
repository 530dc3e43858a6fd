/** What a matrix-media-repo archive holds, and the rules for it: names, numbers, what is kept of Synapse. */
import type { Listed } from "../completeness.ts";

/**
 * What Synapse knows of media and matrix-media-repo does not: kept in a field of the manifest that matrix-media-repo does not look at.
 * Absent in archives that others wrote.
 */
export interface SynapseFacts {
    /** Who quarantined it; null for media that may be served. */
    readonly quarantinedBy: string | null;
    readonly safeFromQuarantine: boolean;
    /** Whether it is only given to who asks with a token; null in databases from before there was such a thing. */
    readonly authenticated: boolean | null;
    /** The web page whose preview shows it; null for what people sent. */
    readonly urlCache: string | null;
    /** Milliseconds since 1970. */
    readonly lastAccessTs: number | null;
}

export interface ArchivedMedia {
    /** The homeserver it belongs to. */
    readonly origin: string;
    readonly mediaId: string;
    /** Undefined for none: an archive cannot tell an empty name from none. */
    readonly uploadName: string | undefined;
    /** `image/png`; undefined for none. */
    readonly contentType: string | undefined;
    readonly sizeBytes: number;
    /** Lower-case hexadecimal. */
    readonly sha256: string;
    /** `@alice:example.org`; undefined where the archive does not say. */
    readonly uploader: string | undefined;
    /** Milliseconds since 1970. */
    readonly createdTs: number;
    /** Absolute path of its content. */
    readonly path: string;
    readonly synapse: SynapseFacts | undefined;
}

/** An archive that was checked: every file of the manifest is there, with its size and SHA-256. */
export interface MediaArchive {
    readonly version: 1 | 2;
    /** A server name; or a user id, where it is all of one person's media only. */
    readonly entityId: string;
    readonly items: readonly ArchivedMedia[];
    readonly bytes: number;
    /** Files that the manifest does not name, but for the page that shows the archive to people. */
    readonly unlisted: Listed;
}

/** Told after each file. */
export type FilesDone = (soFar: { readonly files: number; readonly bytes: number }) => void;

const longestList = 1000;
const shownInMessages = 5;

export function newListed(): Listed {
    return { count: 0, first: [] };
}

export function note(list: Listed, text: string): void {
    list.count++;
    if (list.first.length < longestList) list.first.push(text);
}

/** `3 without a file (first: abc, def, ghi)`, for a message. */
export function describeListed(list: Listed, what: string): string {
    const first = list.first.slice(0, shownInMessages).map((text) => JSON.stringify(text).slice(1, -1));
    return `${list.count} ${what} (${list.count > first.length ? "first: " : ""}${first.join(", ")})`;
}

/** Undefined for what is no user id: `@localpart:server`. Local parts of old accounts hold any character but a colon. */
export function serverOfUser(userId: string): string | undefined {
    const colon = userId.indexOf(":");
    return userId.startsWith("@") && colon > 0 ? userId.slice(colon + 1) : undefined;
}

/** For work that is done on several at a time. */
export async function* oneByOne<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
    for (const item of items) yield await Promise.resolve(item);
}
