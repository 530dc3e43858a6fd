/** Checks of an installed matrix-media-repo that the media will be handed to: what its importer would stop at, or do wrong. */
import { z } from "zod";
import type { Finding, MediaRepoTarget } from "../../contract/index.ts";
import { refuseLonger, requireFit } from "../media/mediaRepo/fitness.ts";
import { queryOne, type Client } from "../postgres/connection.ts";
import { finding } from "../run/finding.ts";
import type { AssessmentCheck } from "./check.ts";
import { documentedFindings } from "./conclusion.ts";
import { fileSystemOf, lackingSpace } from "../machines/freeSpace.ts";

export const mediaRepoChecks: readonly AssessmentCheck[] = [
    {
        id: "media-repository",
        cost: "cheap",
        async run({ spec, client }) {
            if (spec.mediaRepo === undefined) return [];
            return mediaRepoFindings(spec.mediaRepo, spec.source.serverName, await mediaFacts(client));
        },
    },
];

/** What is known of the media that will be handed over; of those in archives only how long the archives are. */
export interface MediaFacts {
    readonly bytes: number;
    readonly longestBytes?: number;
    /** Media that is only given to who has a token. */
    readonly authenticated?: number;
}

/** @returns SM-E0530 to SM-E0533 and SM-E1201, which block; SM-W0534 */
export async function mediaRepoFindings(
    target: MediaRepoTarget | undefined,
    serverName: string,
    { bytes, longestBytes = 0, authenticated = 0 }: MediaFacts,
): Promise<Finding[]> {
    if (target === undefined) return [];
    try {
        const { config } = await requireFit(target, serverName);
        refuseLonger(longestBytes, config, target.config);
        const open = authenticated > 0 && !config.requiresTokens;
        return [
            ...lackingSpace([await fileSystemOf(target.directory, bytes)]),
            ...(open ? [finding("SM-W0534", `${authenticated} media, and ${target.config} does not say so`)] : []),
        ];
    } catch (error) {
        return documentedFindings(error);
    }
}

/** The column is there since Synapse 1.112. */
async function mediaFacts(client: Client): Promise<MediaFacts> {
    const { present, tells } = await queryOne(
        client,
        z.object({ present: z.boolean(), tells: z.boolean() }),
        `SELECT to_regclass('public.local_media_repository') IS NOT NULL AS present, EXISTS (SELECT FROM pg_attribute
            WHERE attrelid = to_regclass('public.local_media_repository') AND attname = 'authenticated' AND NOT attisdropped) AS tells`,
    );
    if (!present) return { bytes: 0 };
    return queryOne(
        client,
        z.object({ bytes: z.coerce.number(), longestBytes: z.coerce.number(), authenticated: z.coerce.number() }),
        `SELECT coalesce(sum(media_length), 0)::text AS bytes, coalesce(max(media_length), 0)::text AS "longestBytes",
            ${tells ? "count(*) FILTER (WHERE authenticated)" : "0"}::text AS authenticated
            FROM public.local_media_repository WHERE media_length IS NOT NULL`,
    );
}
