/** Finds the files of all media that a Synapse database knows, before any of them is exported. */
import { join } from "node:path";
import type { Client } from "../../postgres/connection.ts";
import { MigrationError } from "../../run/errors.ts";
import type { Listed } from "../completeness.ts";
import { placeOn } from "../../machines/placeOn.ts";
import { inOrder } from "../inOrder.ts";
import { isInStore } from "../linkedFolders.ts";
import type { ReadStore } from "../readStore.ts";
import { acceptanceOf, howToAccept, otherList } from "../missingMedia.ts";
import { localMediaRows, type LocalMediaRow, type ReadMediaRow } from "./localMediaTable.ts";
import { describeListed, newListed, note } from "./mediaArchive.ts";
import { storePathOf } from "./storePaths.ts";

/** Files that are looked for at a time: on another machine each look takes as long as the way there and back. */
const [looksHere, looksFarAway] = [8, 256];

export interface StoreSurvey {
    /** Media ids without a file. */
    readonly missing: Listed;
    /** Previews that Synapse has thrown away already. */
    readonly previewsWithoutFile: number;
    /** Media that was announced and never uploaded. */
    readonly pending: number;
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
    const look = async (row: ReadMediaRow) => {
        const path = row.mediaLength === null ? undefined : storePathOf(row.mediaId, row.urlCache);
        return { row, path, file: path === undefined ? undefined : await storedFile(store, path) };
    };
    const atOnce = store.machine.isHere ? looksHere : looksFarAway;
    for await (const { row, path, file } of inOrder(localMediaRows(client), atOnce, look)) {
        signal?.throwIfAborted();
        if (row.mediaLength === null) {
            pending++;
            continue;
        }
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
    const where = placeOn(store.machine, store.root);
    const fix = refusesMissing ? { fix: howToAccept(acceptance) } : {};
    if (refusesMissing && acceptMissing !== undefined)
        throw new MigrationError("SM-E0967", {
            where,
            found: [otherList(acceptance, acceptMissing), ...problems].join("\n"),
            ...fix,
        });
    throw new MigrationError("SM-E0962", {
        where,
        found: problems.join("\n"),
        ...(problems.length === 1 ? fix : {}),
    });
}

/**
 * @returns real path and bytes; undefined for what is not there
 * @throws MigrationError SM-E0963 for what is no file, or lies out of the store
 */
export async function storedFile(
    { machine, root, linked }: ReadStore,
    path: string,
): Promise<{ readonly path: string; readonly size: number } | undefined> {
    const place = join(root, path);
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0963", { where: placeOn(machine, place), found, cause });
    // At the same time, as the machine may be far away.
    const looks = [machine.files.realpath(place), machine.files.stat(place)] as const;
    const [real, facts] = await Promise.all(looks).catch((error: unknown) => {
        if (error instanceof MigrationError) throw error;
        throw refuse("it cannot be read", error);
    });
    if (real === undefined || facts === undefined) return undefined;
    if (!isInStore(root, linked, real)) throw refuse(`a link out of the store, to ${real}`);
    if (facts.kind !== "file") throw refuse("it is no file");
    return { path: real, size: facts.size };
}
