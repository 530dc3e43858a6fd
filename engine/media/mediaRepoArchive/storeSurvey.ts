/** Finds the files of all media that a Synapse database knows, before any of them is exported. */
import { lstat, realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Client } from "../../postgres/connection.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Listed } from "../completeness.ts";
import { isInStore, type LinkedFolder } from "../linkedFolders.ts";
import { acceptanceOf, howToAccept, otherList } from "../missingMedia.ts";
import { localMediaRows, type LocalMediaRow } from "./localMediaTable.ts";
import { describeListed, newListed, note } from "./mediaArchive.ts";
import { storePathOf } from "./storePaths.ts";

export interface StoreSurvey {
    /** Media ids without a file. */
    readonly missing: Listed;
    /** Previews that Synapse has thrown away already. */
    readonly previewsWithoutFile: number;
    /** Media that was announced and never uploaded. */
    readonly pending: number;
}

/** A source's media store. */
export interface ReadStore {
    /** As `storeRoot` gives it. */
    readonly root: string;
    readonly linked: readonly LinkedFolder[];
}

/** A preview of a web page, and nothing that somebody sent. */
export function isPreview({ urlCache }: LocalMediaRow): boolean {
    return urlCache !== null && urlCache !== "";
}

/**
 * @param store    of the source
 * @param missing  what to do with media that has no file
 * @param acceptMissing  of a list of missing media that is no reason to refuse; see `acceptanceOf`
 * @throws MigrationError SM-E0962 when files are missing, or of another length than the database says, SM-E0967 when another list of
 *     missing media is accepted
 */
export async function surveyStore(
    client: Client,
    store: ReadStore,
    {
        missing: onMissing,
        acceptMissing,
        signal,
    }: {
        readonly missing: "refuse" | "report";
        readonly acceptMissing?: string | undefined;
        readonly signal: AbortSignal | undefined;
    },
): Promise<StoreSurvey> {
    const [missing, unsafe, resized] = [newListed(), newListed(), newListed()];
    const withoutFile: string[] = [];
    let [pending, previewsWithoutFile] = [0, 0];
    for await (const row of localMediaRows(client)) {
        signal?.throwIfAborted();
        if (row.mediaLength === null) {
            pending++;
            continue;
        }
        const path = storePathOf(row.mediaId, row.urlCache);
        const file = path === undefined ? undefined : await storedFile(store, path);
        if (path === undefined) note(unsafe, row.mediaId);
        else if (file === undefined && isPreview(row)) previewsWithoutFile++;
        else if (file === undefined) {
            withoutFile.push(row.mediaId);
            note(missing, row.mediaId);
        } else if (file.size !== row.mediaLength)
            note(resized, `${row.mediaId}: ${file.size} of ${row.mediaLength} bytes`);
    }
    const acceptance = acceptanceOf(withoutFile);
    const refusesMissing = missing.count > 0 && onMissing === "refuse" && acceptMissing !== acceptance;
    const problems = [
        ...(refusesMissing ? [describeListed(missing, "without a file")] : []),
        ...(unsafe.count > 0 ? [describeListed(unsafe, "with an id that no path can be made of")] : []),
        ...(resized.count > 0 ? [describeListed(resized, "with files of another size")] : []),
    ];
    if (problems.length === 0) return { missing, previewsWithoutFile, pending };
    const fix = refusesMissing ? { fix: howToAccept(acceptance) } : {};
    if (refusesMissing && acceptMissing !== undefined)
        throw new MigrationError("SM-E0967", {
            where: store.root,
            found: [otherList(acceptance, acceptMissing), ...problems].join("\n"),
            ...fix,
        });
    throw new MigrationError("SM-E0962", {
        where: store.root,
        found: problems.join("\n"),
        ...(problems.length === 1 ? fix : {}),
    });
}

/**
 * @returns real path and bytes; undefined for what is not there
 * @throws MigrationError SM-E0963 for what is no file, or lies out of the store
 */
export async function storedFile(
    { root, linked }: ReadStore,
    path: string,
): Promise<{ readonly path: string; readonly size: number } | undefined> {
    const real = await realpath(join(root, path)).catch((error: unknown) => {
        if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
            return undefined;
        throw new MigrationError("SM-E0963", { where: join(root, path), found: "it cannot be read", cause: error });
    });
    if (real === undefined) return undefined;
    const facts = await lstat(real);
    const where = join(root, path);
    if (!isInStore(root, linked, real))
        throw new MigrationError("SM-E0963", { where, found: `a link out of the store, to ${real}` });
    if (!facts.isFile()) throw new MigrationError("SM-E0963", { where, found: "it is no file" });
    return { path: real, size: facts.size };
}
