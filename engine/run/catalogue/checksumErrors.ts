/** Errors about checksum files that lie beside the input. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const checksumErrors = {
    "SM-E0932": entry(
        "artefact",
        "an input file does not have the checksum that was written down beside it",
        "it is not what its maker wrote, or not all of it; most formats cannot tell by themselves",
        "copy the file again from where it was made; was it made anew after its checksum? then write that anew too: `sha256sum FILE > FILE.sha256`",
    ),
} as const satisfies Record<string, CatalogueEntry>;
