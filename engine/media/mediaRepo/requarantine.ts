/** Quarantines again what the importer serves again: matrix-media-repo's archives know no quarantine. */
import type { Check, MediaRepoTarget } from "../../../contract/index.ts";
import { MigrationError } from "../../run/errors.ts";
import { readOwnSecret } from "../../synapse/secrets/readSecretFile.ts";
import { presentMedia, type ExpectedMedia } from "../mediaRepoArchive/proof.ts";
import type { RepositoryConfig } from "./repositoryConfig.ts";
import { askRepository, quarantinePath } from "./repositoryApi.ts";

export interface Requarantine {
    /** Media ids that can be seen and must not be. */
    readonly servedAgain: readonly string[];
    /** Media ids that cannot be seen now because they have the same bytes as one that must not. */
    readonly alsoQuarantined: readonly string[];
    /** Why it could not be asked; undefined when it was, or when there was no need to. */
    readonly reason: string | undefined;
}

const step = "hand-media";

/**
 * @param items  all that was handed over
 * @throws MigrationError those of `withClient`, SM-E1003 for the file of the token
 */
export async function requarantine(
    items: readonly ExpectedMedia[],
    target: MediaRepoTarget,
    config: RepositoryConfig,
    options: { readonly serverName: string; readonly signal: AbortSignal },
): Promise<Requarantine> {
    const bad = items.filter(({ synapse }) => (synapse?.quarantinedBy ?? null) !== null);
    const look = async (): Promise<ReadonlyMap<string, boolean>> =>
        presentMedia(config.database, items, { step, signal: options.signal });
    const before = await look();
    const served = bad.map(({ mediaId }) => mediaId).filter((mediaId) => before.get(mediaId) === false);
    if (served.length === 0) return { servedAgain: [], alsoQuarantined: [], reason: undefined };
    const reason = await ask(served, target, config, options);
    const after = await look();
    const meant = new Set(bad.map(({ mediaId }) => mediaId));
    const isNew = (mediaId: string): boolean => before.get(mediaId) === false && after.get(mediaId) === true;
    return {
        servedAgain: served.filter((mediaId) => after.get(mediaId) !== true),
        alsoQuarantined: items.map(({ mediaId }) => mediaId).filter((mediaId) => !meant.has(mediaId) && isNew(mediaId)),
        reason,
    };
}

/** @returns why it was given up */
async function ask(
    mediaIds: readonly string[],
    { baseUrl, adminTokenFile }: MediaRepoTarget,
    { sharedSecret }: RepositoryConfig,
    { serverName, signal }: { readonly serverName: string; readonly signal: AbortSignal },
): Promise<string | undefined> {
    if (baseUrl === undefined) return "target.media.baseUrl does not say where matrix-media-repo answers";
    const accessToken =
        adminTokenFile === undefined
            ? sharedSecret
            : (await readOwnSecret(adminTokenFile, "target.media.adminTokenFile")).trim();
    if (accessToken === undefined)
        return "there is neither target.media.adminTokenFile nor sharedSecretAuth in matrix-media-repo's configuration";
    for (const mediaId of mediaIds) {
        signal.throwIfAborted();
        const path = quarantinePath(serverName, mediaId);
        const answer = await askRepository(baseUrl, serverName, { method: "POST", path, accessToken }).catch(
            (error: unknown) => {
                if (error instanceof MigrationError) return error;
                throw error;
            },
        );
        if (answer instanceof MigrationError) return `matrix-media-repo does not answer (${answer.detail.found})`;
        if (answer.status !== 200) return `matrix-media-repo answered ${answer.status}`;
    }
    return undefined;
}

/** `media.quarantine`; warns with the exact calls where somebody has to make them. */
export function quarantineCheck(
    { servedAgain, alsoQuarantined, reason }: Requarantine,
    { serverName, quarantined, list }: { serverName: string; quarantined: number; list: string },
): Check {
    const id = "media.quarantine";
    const [first] = servedAgain;
    if (first !== undefined)
        return {
            id,
            state: "warning",
            evidence: `${servedAgain.length} media that are quarantined at the source can be seen in matrix-media-repo${reason === undefined ? "" : `, as ${reason}`}. Before anybody is let in, with the token of one of its administrators and the header "Host: ${serverName}": POST ${quarantinePath(serverName, first)}${servedAgain.length > 1 ? `, and ${servedAgain.length - 1} more calls, all in ${list}` : ""}`,
        };
    if (alsoQuarantined.length > 0)
        return {
            id,
            state: "warning",
            evidence: `all ${quarantined} are quarantined; so are ${alsoQuarantined.length} others with the same bytes, which matrix-media-repo tells apart by their bytes alone: ${alsoQuarantined.slice(0, 3).join(", ")}`,
        };
    return {
        id,
        state: "passed",
        evidence: quarantined === 0 ? "nothing is quarantined" : `all ${quarantined} are quarantined there, too`,
    };
}
