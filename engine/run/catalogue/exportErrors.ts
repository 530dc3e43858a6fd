/** Errors of bundles that are made for another provider. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const exportErrors = {
    "SM-E0603": entry(
        "verify",
        "the bundle is not what was written into it",
        "the receiver would restore less than the homeserver, or nothing at all, when the source is long gone",
        "declare phase `stage`, which starts the source again and removes the bundle; look at disk and memory, then declare `migrate` again",
    ),
    "SM-E0713": entry(
        "state",
        "the directory of the bundle is not the one that this run has made",
        "files of somebody else would be sent to the receiver, or removed",
        "name another `target.directory`, or move away what is there; is it an earlier run's? Declare phase `assess` of that one first",
    ),
} as const satisfies Record<string, CatalogueEntry>;
