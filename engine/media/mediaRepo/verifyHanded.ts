/** Proves media that another repository holds against what was handed to it and against the restored database. */
import type { Check, HandedMedia } from "../../../contract/index.ts";
import type { DatabaseAddress } from "../../postgres/connection.ts";
import { describeListed } from "../mediaRepoArchive/mediaArchive.ts";
import { proveArrival, type ExpectedMedia } from "../mediaRepoArchive/proof.ts";
import { brokenMedia, checkCompleteness } from "../completeness.ts";
import type { FileContent } from "../copyFile.ts";
import { localContentPath } from "../layout.ts";
import { completenessChecks } from "../mediaChecks.ts";
import { withMediaRows, type MediaRows } from "../mediaRows.ts";
import { readHandedManifest } from "./handedManifest.ts";
import { readRepositoryConfig } from "./repositoryConfig.ts";

const step = "verify";

/**
 * Asks matrix-media-repo's database for every item once more, and whether each row of the restored database was among them.
 *
 * @param database  the restored one, under its incoming name
 * @returns `media.arrived` and `media.complete`; `failed` ones are for the caller to act on
 * @throws MigrationError SM-E0532, SM-E0960, and those of `withClient`
 */
export async function verifyHandedMedia(
    handed: HandedMedia,
    database: DatabaseAddress,
    signal: AbortSignal,
): Promise<Check[]> {
    const items = await readHandedManifest(handed.manifestFile, handed.manifestDigest);
    const { database: repository } = await readRepositoryConfig(handed.config);
    return [await arrivedCheck(items, repository, signal), await completeCheck(items, database, signal)];
}

async function arrivedCheck(
    items: readonly ExpectedMedia[],
    repository: DatabaseAddress,
    signal: AbortSignal,
): Promise<Check> {
    const id = "media.arrived";
    if (items.length === 0) return { id, state: "passed", evidence: "nothing was to be handed over" };
    const { expected, missing, different } = await proveArrival(repository, { items }, { step, signal });
    const altered = different.first.filter((line) => /: .*\b(length|content)\b/.test(line));
    if (missing.count === 0 && altered.length === 0)
        return { id, state: "passed", evidence: `${expected} media are in matrix-media-repo` };
    const found = [
        ...(missing.count > 0 ? [describeListed(missing, "are missing in matrix-media-repo")] : []),
        ...(altered.length > 0
            ? [describeListed({ count: altered.length, first: altered }, "have other content")]
            : []),
    ];
    return { id, state: "failed", evidence: found.join("; ") };
}

/** What the archive carried stands for the files of a store; thumbnails and what no row knows are no business of ours there. */
async function completeCheck(
    items: readonly ExpectedMedia[],
    database: DatabaseAddress,
    signal: AbortSignal,
): Promise<Check> {
    const files = new Map<string, FileContent>();
    for (const { mediaId, sizeBytes, sha256 } of items) {
        const path = localContentPath(mediaId);
        if (path !== undefined) files.set(path, { size: sizeBytes, sha256 });
    }
    const check = ({ media }: MediaRows) =>
        checkCompleteness({ media, thumbnails: none(), file: (path) => files.get(path), paths: () => [] });
    const completeness = await withMediaRows(database, { step, signal }, check);
    const [complete] = completenessChecks(completeness, brokenMedia(completeness));
    if (complete === undefined) throw new Error("completeness has a check of its own");
    return complete;
}

async function* none(): AsyncGenerator<never> {}
