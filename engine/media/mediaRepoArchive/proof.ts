/** Asks matrix-media-repo's database whether every item of an archive arrived: the importer's own `-verify` proves nothing. */
import { z } from "zod";
import { query, queryOne, withClient, type DatabaseAddress } from "../../postgres/connection.ts";
import type { Listed } from "../completeness.ts";
import { newListed, note, type ArchivedMedia } from "./mediaArchive.ts";

export interface ArrivalProof {
    readonly expected: number;
    readonly arrived: number;
    /** Media ids that matrix-media-repo has no row of. */
    readonly missing: Listed;
    /** Media ids with another length, SHA-256, uploader, name or type than the archive's, each with what differs. */
    readonly different: Listed;
    /** Media ids that were quarantined at the source and are served now: to be quarantined again before anybody is let in. */
    readonly servedAgain: Listed;
    /** Media with another time of upload: the importer writes the time of the import into all that it imports. */
    readonly redated: number;
}

/** What an archive's manifest says of media; all of one origin. */
export type ExpectedMedia = Omit<ArchivedMedia, "path">;

const itemsAtOnce = 5000;

/**
 * One line for each item that is asked for, with what is wrong with it. $1: the origin; $2: items as JSON.
 *
 * A row is written after the content is stored and its SHA-256 was compared (pipelines/pipeline_upload), but for content that was known
 * already: then the row points to the older file. Files that were lost after that are not seen here.
 *
 * @public
 */
export const arrivalQuery = `
    SELECT item.media_id AS "mediaId", media.media_id IS NULL AS missing,
        media.size_bytes <> item.size_bytes AS "otherLength",
        media.sha256_hash <> item.sha256 OR media.location = '' AS "otherContent",
        media.user_id <> item.uploader AS "otherUploader",
        media.upload_name <> item.name AS "otherName",
        media.content_type <> item.content_type AS "otherType",
        item.quarantined AND NOT media.quarantined AS "servedAgain",
        media.creation_ts <> item.created_ts AS redated
    FROM jsonb_to_recordset($2::jsonb) AS item
        (media_id text, size_bytes bigint, sha256 text, uploader text, name text, content_type text, created_ts bigint, quarantined boolean)
    LEFT JOIN public.media ON media.origin = $1 AND media.media_id = item.media_id
    ORDER BY item.media_id`;

const flag = z
    .boolean()
    .nullable()
    .transform((value) => value === true);
const answer = z.object({
    mediaId: z.string(),
    missing: z.boolean(),
    otherLength: flag,
    otherContent: flag,
    otherUploader: flag,
    otherName: flag,
    otherType: flag,
    servedAgain: flag,
    redated: flag,
});

const differences = {
    otherLength: "length",
    otherContent: "content",
    otherUploader: "uploader",
    otherName: "name",
    otherType: "type",
} as const satisfies Partial<Record<keyof z.infer<typeof answer>, string>>;
const differenceKinds = ["otherLength", "otherContent", "otherUploader", "otherName", "otherType"] as const;

/**
 * @param address  of matrix-media-repo's database; it is only read
 * @throws MigrationError those of `withClient`
 */
export async function proveArrival(
    address: DatabaseAddress,
    archive: { readonly items: readonly ExpectedMedia[] },
    options: { readonly step: string; readonly signal?: AbortSignal },
): Promise<ArrivalProof> {
    const [missing, different, servedAgain] = [newListed(), newListed(), newListed()];
    let [arrived, redated] = [0, 0];
    await withClient(address, { ...options, readOnly: true }, async (client) => {
        for (const { origin, items } of batches(archive.items)) {
            for (const row of await query(client, answer, arrivalQuery, [origin, items])) {
                const differs = differenceKinds.filter((kind) => row[kind]).map((kind) => differences[kind]);
                if (row.missing) note(missing, row.mediaId);
                else if (differs.length > 0) note(different, `${row.mediaId}: ${differs.join(", ")}`);
                else arrived++;
                if (row.servedAgain) note(servedAgain, row.mediaId);
                if (row.redated) redated++;
            }
        }
    });
    return { expected: archive.items.length, arrived, missing, different, servedAgain, redated };
}

const stored = z.object({ mediaId: z.string(), quarantined: z.boolean() });

/**
 * What matrix-media-repo has rows of. Its tables are only there once one of its programs has run.
 *
 * @returns media ids, and whether they are quarantined there
 * @throws MigrationError those of `withClient`
 */
export async function presentMedia(
    address: DatabaseAddress,
    items: readonly ExpectedMedia[],
    options: { readonly step: string; readonly signal?: AbortSignal },
): Promise<ReadonlyMap<string, boolean>> {
    const present = new Map<string, boolean>();
    await withClient(address, { ...options, readOnly: true }, async (client) => {
        const { made } = await queryOne(
            client,
            z.object({ made: z.boolean() }),
            "SELECT to_regclass('public.media') IS NOT NULL AS made",
        );
        for (let start = 0; made && start < items.length; start += itemsAtOnce) {
            const some = items.slice(start, start + itemsAtOnce);
            const sql = `SELECT media_id AS "mediaId", quarantined FROM public.media WHERE origin = $1 AND media_id = ANY ($2::text[])`;
            const values = [some[0]?.origin ?? "", some.map(({ mediaId }) => mediaId)];
            for (const { mediaId, quarantined } of await query(client, stored, sql, values))
                present.set(mediaId, quarantined);
        }
    });
    return present;
}

function* batches(items: readonly ExpectedMedia[]): Generator<{ origin: string; items: string }> {
    for (let start = 0; start < items.length; start += itemsAtOnce) {
        const some = items.slice(start, start + itemsAtOnce);
        // A checked archive is of one origin.
        yield { origin: some[0]?.origin ?? "", items: JSON.stringify(some.map(expectedRow)) };
    }
}

/** Absent text is empty text there. */
function expectedRow(item: ExpectedMedia): Record<string, unknown> {
    return {
        media_id: item.mediaId,
        size_bytes: item.sizeBytes,
        sha256: item.sha256,
        uploader: item.uploader ?? "",
        name: item.uploadName ?? "",
        content_type: item.contentType ?? "",
        created_ts: item.createdTs,
        quarantined: (item.synapse?.quarantinedBy ?? null) !== null,
    };
}
