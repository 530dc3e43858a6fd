/** Names a list of media without files, so that exactly this list, and no other, can be accepted: config `acceptMissingMedia`. */
import { createHash } from "node:crypto";

/**
 * How many they are and the SHA-256 of their ids, a line each, sorted by their bytes: `12:<64 hexadecimal digits>`. The count is part of it so
 * that who is refused is told how many were accepted, which a digest alone does not say.
 */
export function acceptanceOf(mediaIds: Iterable<string>): string {
    const sorted = [...mediaIds].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const digest = createHash("sha256").update(sorted.map((mediaId) => `${mediaId}\n`).join(""));
    return `${sorted.length}:${digest.digest("hex")}`;
}

/** How many media an acceptance stands for. */
const acceptedCount = (acceptance: string): number => Number(acceptance.split(":", 1)[0]);

/** Where another list than this one was accepted: both counts, and what would accept this one. */
export function otherList(found: string, accepted: string): string {
    return `${acceptedCount(found)} media have no file, and acceptMissingMedia accepts another list, of ${acceptedCount(accepted)}; these are ${found}`;
}

/** What to do about media that are accepted by nobody yet. */
export const howToAccept = (acceptance: string): string =>
    `restore the files from a backup; where nobody has them any more, accept that exactly these are missing: pulumi config set acceptMissingMedia ${acceptance}`;
