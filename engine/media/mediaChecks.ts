/** Says in checks what was seen of a media store. */
import type { Check } from "../../contract/index.ts";
import { saidOfLinks, type LinkedFolder } from "./linkedFolders.ts";
import type { BrokenMedia, Completeness, Listed } from "./completeness.ts";

/** How many are named in a check or an error. */
export const namedAtMost = 10;

/** `media.complete` fails; thumbnails warn, as Synapse makes them again; orphans are only told. */
export function completenessChecks(found: Completeness, broken: BrokenMedia): Check[] {
    const { thumbnails, orphans } = found;
    const badThumbnails = thumbnails.missing.count + thumbnails.resized.count;
    return [
        complete(found, broken),
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

function complete({ expected, pending, missing, acceptance }: Completeness, broken: BrokenMedia): Check {
    const id = "media.complete";
    if (broken.count > 0) {
        const named = `${broken.count} of ${expected} media: ${broken.first.slice(0, namedAtMost).join(", ")}`;
        const accepting =
            missing.count > broken.accepted ? `; acceptMissingMedia of those without a file: ${acceptance}` : "";
        const other = broken.otherList === undefined ? accepting : `; ${broken.otherList}`;
        return { id, state: "failed", evidence: `${named}${other}` };
    }
    if (broken.accepted === 0)
        return passed(id, `${expected} media, each with its file; ${pending} were never uploaded`);
    const named = missing.first.slice(0, namedAtMost).join(", ");
    return {
        id,
        state: "warning",
        evidence: `${expected - broken.accepted} of ${expected} media, each with its file; ${broken.accepted} have none, which is accepted (acceptMissingMedia): ${named}`,
    };
}

/** None where all folders are where they belong. */
export function linkChecks(linked: readonly LinkedFolder[]): Check[] {
    return linked.length === 0
        ? []
        : [passed("media.links", `${saidOfLinks(linked)}; the copy has plain folders in the store`)];
}

export function passed(id: string, evidence: string): Check {
    return { id, state: "passed", evidence };
}

function sample(list: Listed): string {
    return list.first.slice(0, 3).join(", ");
}
