/** Whether an installed matrix-media-repo can take the media of a homeserver: asked before anything changes. */
import type { MediaRepoTarget } from "../../../contract/index.ts";
import type { ServiceUser } from "../../machines/serviceUser.ts";
import { MigrationError } from "../../run/errors.ts";
import { importerUser, requireUsable } from "./importerUser.ts";
import { readRepositoryConfig, type RepositoryConfig } from "./repositoryConfig.ts";

export interface FitRepository {
    readonly config: RepositoryConfig;
    readonly user: ServiceUser | undefined;
}

/** @throws MigrationError SM-E0530, SM-E0532, SM-E0533 */
export async function requireFit(target: MediaRepoTarget, serverName: string): Promise<FitRepository> {
    const config = await readRepositoryConfig(target.config);
    if (!config.serverNames.includes(serverName))
        throw new MigrationError("SM-E0530", {
            where: target.config,
            found: config.serverNames.length === 0 ? "no homeservers" : config.serverNames.join(", "),
            expected: serverName,
        });
    const user = await importerUser(target);
    await requireUsable(target, config.directories, user);
    return { config, user };
}

/** @throws MigrationError SM-E0531 */
export function refuseLonger(longestBytes: number, { longestBytes: limit }: RepositoryConfig, where: string): void {
    if (limit === undefined || longestBytes <= limit) return;
    throw new MigrationError("SM-E0531", {
        where,
        found: `uploads.maxBytes is ${limit}`,
        expected: `at least ${longestBytes}, the bytes of the longest media`,
    });
}
