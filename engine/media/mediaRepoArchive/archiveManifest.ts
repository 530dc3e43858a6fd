/** Reads and writes `manifest.json` of a matrix-media-repo archive: versions 1 and 2 (archival/v2archive/manifest.go). */
import { z } from "zod";
import { MigrationError } from "../../run/errors.ts";
import type { ArchivedMedia, SynapseFacts } from "./mediaArchive.ts";

export const manifestName = "manifest.json";

const synapseFacts = z.object({
    quarantined_by: z.string().nullable(),
    safe_from_quarantine: z.boolean(),
    authenticated: z.boolean().nullable(),
    url_cache: z.string().nullable(),
    last_access_ts: z.int().nullable(),
});

// Names that Go writes for absent text are empty; readers of version 1 never had the last two.
const record = z.object({
    name: z.string().nullish(),
    file_name: z.string(),
    size_bytes: z.int().nonnegative(),
    content_type: z.string().nullish(),
    sha256: z.string(),
    origin: z.string(),
    media_id: z.string(),
    created_ts: z.int(),
    s3_url: z.string().nullish(),
    uploader: z.string().nullish(),
    synapse: synapseFacts.optional(),
});
type ManifestRecord = z.infer<typeof record>;

const head = z.object({
    version: z.number(),
    entity_id: z.string().nullish(),
    /** The entity in version 1, which knew exports of one user only. */
    user_id: z.string().nullish(),
    media: z.record(z.string(), z.unknown()).nullish(),
});

/** An entry of a manifest, as it claims to be; nothing of it is checked but its shape. */
interface ManifestEntry {
    /** `mxc://origin/media_id` */
    readonly address: string;
    /** Name of the file in the archive. */
    readonly fileName: string;
    /** Whether its content is (also) in a bucket. */
    readonly inBucket: boolean;
    readonly media: Omit<ArchivedMedia, "path">;
}

export interface Manifest {
    readonly version: 1 | 2;
    readonly entityId: string;
    readonly entries: readonly ManifestEntry[];
}

/**
 * @param where  the file, for messages
 * @throws MigrationError SM-E0960 when it is no manifest, is of an unknown version, or names no media
 */
export function parseManifest(text: string, where: string): Manifest {
    const refuse = (found: string, cause?: unknown): MigrationError =>
        new MigrationError("SM-E0960", {
            where,
            found,
            expected: "a manifest of version 2 or 1 that names media",
            cause,
        });
    let json: unknown;
    try {
        json = JSON.parse(text);
    } catch (error) {
        throw refuse("the manifest is no complete JSON", error);
    }
    const parsed = head.safeParse(json);
    if (!parsed.success) throw refuse(`it is no manifest: ${issueOf(parsed.error)}`);
    const { version, media } = parsed.data;
    if (version !== 1 && version !== 2) throw refuse(`the manifest has version ${version}`);
    const entityId = version === 1 ? parsed.data.user_id : parsed.data.entity_id;
    if (typeof entityId !== "string" || entityId === "")
        throw refuse("the manifest does not say whose media the archive holds");
    const named = Object.entries(media ?? {});
    if (named.length === 0) throw refuse("the manifest names no media");
    const entries = named.map(([address, value]) => {
        const entry = record.safeParse(value);
        if (!entry.success)
            throw refuse(`the manifest's entry ${JSON.stringify(address)} is damaged: ${issueOf(entry.error)}`);
        return manifestEntry(address, entry.data, version === 1 ? entityId : undefined);
    });
    return { version, entityId, entries };
}

/** @param owner  whose media all of it is, where entries do not say: archives of version 1 are of one user */
function manifestEntry(address: string, found: ManifestRecord, owner: string | undefined): ManifestEntry {
    const uploader = text(found.uploader) ?? (owner?.startsWith("@") === true ? owner : undefined);
    return {
        address,
        fileName: found.file_name,
        // Version 1 wrote "TODO" where there was none.
        inBucket: found.s3_url?.startsWith("s3://") === true,
        media: {
            origin: found.origin,
            mediaId: found.media_id,
            uploadName: text(found.name),
            contentType: text(found.content_type),
            sizeBytes: found.size_bytes,
            sha256: found.sha256.toLowerCase(),
            uploader,
            createdTs: found.created_ts,
            synapse: found.synapse === undefined ? undefined : fromManifest(found.synapse),
        },
    };
}

/** Start and end of a manifest; between them come the entries of {@link manifestLine}, with commas. */
export function manifestFrame(entityId: string, createdTs: number): { readonly start: string; readonly end: string } {
    const [start, end] = JSON.stringify({ version: 2, entity_id: entityId, created_ts: createdTs, media: {} }).split(
        "{}",
    );
    if (start === undefined || end === undefined) throw new Error("a manifest without media");
    return { start: `${start}{`, end: `}${end}\n` };
}

/** `"mxc://…":{…}`, the fields as matrix-media-repo names them, and what Synapse knows more in one of its own. */
export function manifestLine(fileName: string, media: Omit<ArchivedMedia, "path">): string {
    const entry = {
        name: media.uploadName ?? "",
        file_name: fileName,
        size_bytes: media.sizeBytes,
        content_type: media.contentType ?? "",
        s3_url: "",
        sha256: media.sha256,
        origin: media.origin,
        media_id: media.mediaId,
        created_ts: media.createdTs,
        uploader: media.uploader ?? "",
        ...(media.synapse === undefined ? {} : { synapse: toManifest(media.synapse) }),
    } satisfies ManifestRecord;
    return `${JSON.stringify(addressOf(media))}:${JSON.stringify(entry)}`;
}

export function addressOf({ origin, mediaId }: { readonly origin: string; readonly mediaId: string }): string {
    return `mxc://${origin}/${mediaId}`;
}

function fromManifest(facts: z.infer<typeof synapseFacts>): SynapseFacts {
    return {
        quarantinedBy: facts.quarantined_by,
        safeFromQuarantine: facts.safe_from_quarantine,
        authenticated: facts.authenticated,
        urlCache: facts.url_cache,
        lastAccessTs: facts.last_access_ts,
    };
}

function toManifest(facts: SynapseFacts): z.infer<typeof synapseFacts> {
    return {
        quarantined_by: facts.quarantinedBy,
        safe_from_quarantine: facts.safeFromQuarantine,
        authenticated: facts.authenticated,
        url_cache: facts.urlCache,
        last_access_ts: facts.lastAccessTs,
    };
}

/** Undefined for empty text. Halves of surrogate pairs become U+FFFD, as they do where Go reads them. */
function text(value: string | null | undefined): string | undefined {
    return value === null || value === undefined || value === "" ? undefined : Buffer.from(value).toString();
}

function issueOf(error: z.ZodError): string {
    const issue = error.issues[0];
    return issue === undefined ? "of another shape" : `${issue.path.join(".") || "the whole"}: ${issue.message}`;
}
