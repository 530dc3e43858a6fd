/** What a pass over a media store has to say: checks of what it met, and the error for what the database promises and the store does not have. */
import type { Check } from "../../contract/index.ts";
import { placeOn } from "../machines/placeOn.ts";
import { MigrationError } from "../run/errors.ts";
import type { BrokenMedia, Completeness } from "./completeness.ts";
import { namedAtMost, passed } from "./mediaChecks.ts";
import { howToAccept } from "./missingMedia.ts";
import type { ReadStore } from "./readStore.ts";
import type { CopyPass } from "./sourcePass.ts";
import type { TargetPass } from "./targetPass.ts";

/** Nobody but the homeserver opens an SQLite file that is in use: what it names is compared in the final pass. */
export const rowsNotRead: Check = {
    id: "media.complete",
    state: "not-run",
    evidence: "the rows are in an SQLite file that is in use; the final pass compares them",
};

export function passChecks(pass: Omit<CopyPass, "seen">, target: TargetPass | undefined): Check[] {
    const { notes, sparse, changing, removed } = pass;
    const some = (list: readonly string[]): string => list.slice(0, 3).join(", ");
    const warnUnless = (id: string, fine: boolean, good: string, bad: string): Check =>
        fine ? passed(id, good) : { id, state: "warning", evidence: bad };
    return [
        warnUnless(
            "media.still",
            changing.length === 0,
            `nothing changed while it was copied; ${removed} files were gone`,
            `${changing.length} files changed while they were read: ${some(changing)}`,
        ),
        warnUnless(
            "media.names",
            notes.foreign.length === 0,
            `all names are Synapse's; ${notes.caseTwins} differ from another one only in case, which the target tells apart`,
            `${notes.foreign.length} entries with names that Synapse never gives are left out: ${some(notes.foreign)}`,
        ),
        warnUnless(
            "media.sparse",
            sparse === 0,
            "no file has holes",
            `${sparse} files take less space than they have bytes: a file system that compresses, or files with holes`,
        ),
        target === undefined
            ? { id: "media.copies", state: "not-run", evidence: "every copy is read again in the final pass" }
            : warnUnless(
                  "media.copies",
                  target.mended.length + target.setAside.length === 0,
                  `${target.files} copies were read again and are what was copied`,
                  `${target.mended.length} copies had changed and were made again, ${target.setAside.length} files that do not come from the source were put aside: ${some([...target.mended, ...target.setAside])}`,
              ),
    ];
}

/** SM-E0962, or SM-E0967 where another list of missing media is accepted. */
export function incomplete(
    { machine, root }: ReadStore,
    { missing, acceptance }: Completeness,
    broken: BrokenMedia,
): MigrationError {
    const named = broken.first.slice(0, namedAtMost);
    const list = `${broken.count} media${broken.count > named.length ? `, the first ${named.length} of them` : ""}:\n${named.join("\n")}`;
    const changed = "files were copied to the target's store; the source is as it was";
    const where = placeOn(machine, root);
    if (broken.otherList !== undefined)
        return new MigrationError("SM-E0967", {
            where,
            found: `${broken.otherList}\n${list}`,
            expected: "the list of missing media that was accepted, or none",
            fix: howToAccept(acceptance),
            changed,
        });
    return new MigrationError("SM-E0962", {
        where,
        found: list,
        expected: "for each row of local_media_repository a file of its length, and of its SHA-256 where it has one",
        ...(missing.count === broken.count ? { fix: howToAccept(acceptance) } : {}),
        changed,
    });
}
