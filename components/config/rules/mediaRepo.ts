/** What a target whose media go to matrix-media-repo cannot have. */
import type { MigrationError } from "../../../engine/run/errors.ts";
import { invalidValue, type Locate } from "../problems.ts";
import type { TargetConfig } from "../../targets/target.ts";

/** Its archives carry the homeserver's own media alone, and what was imported once nothing takes back. */
export function mediaRepoProblems(
    config: { readonly target: TargetConfig; readonly rehearsal: boolean; readonly remoteMedia: string },
    locate: Locate,
): MigrationError[] {
    const { target, rehearsal, remoteMedia } = config;
    if (target.kind !== "local" || target.media === undefined) return [];
    const problems: MigrationError[] = [];
    if (remoteMedia !== "drop")
        problems.push(
            invalidValue(
                ["remoteMedia"],
                remoteMedia,
                "drop: matrix-media-repo fetches other servers' media itself",
                locate,
            ),
        );
    if (rehearsal && !target.media.disposable)
        problems.push(
            invalidValue(
                ["target", "media", "disposable"],
                false,
                "true, of a matrix-media-repo that is there for rehearsals: it keeps what is imported",
                locate,
            ),
        );
    const { mediaStorageProvider } = { mediaStorageProvider: undefined, ...target };
    if (mediaStorageProvider !== undefined)
        problems.push(
            invalidValue(
                ["target", "mediaStorageProvider"],
                mediaStorageProvider,
                "not set: matrix-media-repo has datastores of its own (target.media)",
                locate,
            ),
        );
    return problems;
}
