/** SM-E086, SM-W086: what is in the data of a homeserver, and what the probe finds of it. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e086Data = {
    "SM-W0860": entry(
        "artefact",
        "media without a file do not come along, which is accepted",
        "the target's database goes on naming them, as the source's did: who opens them finds them broken",
        "nothing has to be done; is there a backup of the named media after all?",
    ),
    "SM-W0861": entry(
        "artefact",
        "folders of the media store are links to another place",
        "they are followed, and become plain folders of the target's media store: the target's disk needs room for all of them",
        "nothing has to be done where there is room; is each of these disks mounted while the source is read?",
    ),
    "SM-W0862": entry(
        "check",
        "a key of Synapse's schema is missing",
        "Synapse fails where it counts on it, or makes rows twice, and the target would have no more than the source has: as after a restore that went on after errors",
        "run the statement that is shown in the source's database; where did the database come from?",
    ),
} as const satisfies Record<string, CatalogueEntry>;
