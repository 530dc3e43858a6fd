/** Says in checks what was seen of a media store. */
import type { Check } from "../../contract/index.ts";
import type { brokenMedia, Completeness, Listed } from "./completeness.ts";

/** How many are named in a check or an error. */
export const namedAtMost = 10;

/** `media.complete` fails; thumbnails warn, as Synapse makes them again; orphans are only told. */
export function completenessChecks(found: Completeness, broken: ReturnType<typeof brokenMedia>): Check[] {
    const { thumbnails, orphans } = found;
    const badThumbnails = thumbnails.missing.count + thumbnails.resized.count;
    return [
        broken.count === 0
            ? passed(
                  "media.complete",
                  `${found.expected} media, each with its file; ${found.pending} were never uploaded`,
              )
            : {
                  id: "media.complete",
                  state: "failed",
                  evidence: `${broken.count} of ${found.expected} media: ${broken.first.slice(0, namedAtMost).join(", ")}`,
              },
        badThumbnails === 0
            ? passed("media.thumbnails", `${thumbnails.expected} thumbnails, each with its file`)
            : {
                  id: "media.thumbnails",
                  state: "warning",
                  evidence: `${badThumbnails} of ${thumbnails.expected} thumbnails are missing or of another size, and are made again when asked for`,
              },
        passed(
            "media.orphans",
            orphans.count === 0
                ? "no file without a row"
                : `${orphans.count} files that no row knows: ${sample(orphans)}`,
        ),
    ];
}

export function passed(id: string, evidence: string): Check {
    return { id, state: "passed", evidence };
}

function sample(list: Listed): string {
    return list.first.slice(0, 3).join(", ");
}
