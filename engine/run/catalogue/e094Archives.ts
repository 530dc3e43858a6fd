/** SM-E094 and SM-E095: compression, split files and archives. */
import { entry, nothingUsed, type CatalogueEntry } from "./entry.ts";

export const e094Archives = {
    "SM-E0940": entry(
        "artefact",
        "a zip archive is encrypted",
        "the encryption of zip does not prove that the content is unaltered",
        "unpack it by hand and pack it again: `unzip FILE`, then `zip -r NEW DIRECTORY`",
    ),
    "SM-E0941": entry(
        "artefact",
        "a zip archive is split into several files",
        "only one of them is here",
        "join them first: `zip -s 0 FILE.zip --out WHOLE.zip`",
    ),
    "SM-E0942": entry(
        "artefact",
        "entries of a zip archive have the same name",
        "one would replace the other, and which one depends on the program and the file system",
        "have the archive made again; was it made from a file system that tells upper from lower case?",
    ),
    "SM-E0943": entry(
        "artefact",
        "a zip archive has an entry that is neither a file nor a directory",
        "a link can make later entries land outside of the directory they are unpacked to",
        "have the archive made again from regular files (`zip -r`, without `--symlinks`)",
    ),
    "SM-E0944": entry(
        "artefact",
        "a zip archive is damaged",
        nothingUsed,
        "copy the file again from where it was made; `unzip -t FILE` checks it there",
    ),
    "SM-E0945": entry(
        "resources",
        "a zip archive unpacks to more than is allowed",
        "a small file can fill every disk",
        "is it a homeserver's export? Then raise the limit that is named",
    ),
    "SM-E0946": entry(
        "artefact",
        "a zip archive has an entry with an unsafe name",
        "files could be written outside of the directory it is unpacked to",
        "have the archive made again by a program that writes relative names in UTF-8 with `/` between directories",
    ),
    "SM-E0950": entry(
        "artefact",
        "a tar archive has an entry with an unsafe name",
        "files could be written outside of the directory it is unpacked to",
        "have the archive made again from within the directory: `tar -C DIRECTORY -czf FILE .`",
    ),
    "SM-E0951": entry(
        "artefact",
        "a tar archive holds a link",
        "a link can make later entries land outside of the directory they are unpacked to",
        "have the archive made again with what the links point to: `tar --dereference --hard-dereference -C DIRECTORY -czf FILE .`",
    ),
    "SM-E0952": entry(
        "artefact",
        "a tar archive holds a device or a pipe",
        "no homeserver has such files, and to make them takes over the machine",
        "have the archive made again from the right directory",
    ),
    "SM-E0953": entry(
        "artefact",
        "a tar archive has an entry of a kind that is not unpacked here",
        "sparse files and extensions of single tar programs would come out different from what was packed",
        "have the archive made again with plain files: `tar --format=posix -C DIRECTORY -czf FILE .`, without `--sparse`",
    ),
    "SM-E0954": entry(
        "artefact",
        "entries of an archive have the same name",
        "one would replace the other, and which one depends on the program and the file system",
        "have the archive made again; was it appended to, or made from a file system that tells upper from lower case?",
    ),
    "SM-E0955": entry(
        "resources",
        "a tar archive unpacks to more than is allowed",
        "a small file can fill every disk",
        "is it a homeserver's export? Then raise the limit that is named",
    ),
    "SM-E0956": entry(
        "artefact",
        "a tar archive is damaged or cut off",
        nothingUsed,
        "copy the file again from where it was made; `tar -tf FILE` lists it there",
    ),
    "SM-E0957": entry(
        "artefact",
        "the directory to unpack to is there already",
        "files of two exports would be mixed",
        "is something in it still needed? Move it away, or choose another directory",
    ),
    "SM-E0958": entry(
        "artefact",
        "the file is not an archive",
        "nothing can be unpacked from it",
        "is it the right file? `file NAME` says what it is; an archive whose first bytes are damaged is not known as one either",
    ),
} as const satisfies Record<string, CatalogueEntry>;
