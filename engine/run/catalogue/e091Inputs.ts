/** SM-E091: files that are not what they should be, or not those that were assessed. */
import { entry, nothingUsed, type CatalogueEntry } from "./entry.ts";

export const e091Inputs = {
    "SM-E0910": entry(
        "artefact",
        "gzip data is damaged, cut off, or has something behind it",
        nothingUsed,
        "copy the file again from where it was made and compare `sha256sum`; was it written by a pipe whose first program failed?",
    ),
    "SM-W0910": entry(
        "artefact",
        "the name of a file says something else than its content",
        "files are read by what they are; a name that lies often means that a step by hand was left out or done twice",
        "is this the file you mean? `file NAME` says what it is",
    ),
    "SM-E0911": entry(
        "artefact",
        "the manifest of the dump is damaged or is not the one the dump step made",
        "without its manifest nothing proves that the restored data is all of it",
        "make the dump again",
    ),
    "SM-E0912": entry(
        "verify",
        "the dump and the database disagree",
        "the source was written to while it was dumped, or the dump is not complete",
        "is a process of the source still running? Fence it, then make the dump again",
    ),
    "SM-E0914": entry(
        "artefact",
        "a format that is known but not read here",
        "what cannot be read and checked as it comes would have to be trusted",
        "convert it with the command named",
    ),
    "SM-E0917": entry(
        "artefact",
        "The file is not a dump of a database",
        "Nothing can be restored from it.",
        "is `source.database` the dump? `file <path>` says what it is",
    ),
} as const satisfies Record<string, CatalogueEntry>;
