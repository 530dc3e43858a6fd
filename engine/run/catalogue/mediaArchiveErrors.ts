/** Errors about media archives of matrix-media-repo. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const mediaArchiveErrors = {
    "SM-E0960": entry(
        "artefact",
        "there is not one readable manifest of a media archive",
        "only the manifest says whose media the files are and whether all are there; exports that were cut short have none, though the exporter ended well",
        "unpack all parts of one export into one directory, export-manifest.tgz too; was the export made with -skipMissing? Then make it again",
    ),
    "SM-E0961": entry(
        "artefact",
        "a media archive contradicts itself or is of another homeserver",
        "matrix-media-repo passes over such entries in silence, and people would miss the media",
        "is it the export of this homeserver, and `serverName` right? Ask for the export again",
    ),
    "SM-E0964": entry(
        "artefact",
        "Synapse's own store cannot hold media of the archive",
        "its database counts the bytes of media with 32 bits, and makes paths of media ids",
        "keep the media in matrix-media-repo (`target.media.kind: mediaRepo`), or have the named media left out",
    ),
    "SM-E0965": entry(
        "artefact",
        "the target has other content under a media id of the archive",
        "one of the two would be lost: an id stands for one content for ever",
        "is it the archive of this homeserver, of the same day as the database? Compare the named media",
    ),
    "SM-E0966": entry(
        "artefact",
        "the directory for a media archive is not empty",
        "matrix-media-repo's importer opens every file in the directory, and stops at the first that is no part",
        "name a new directory, or empty this one",
    ),
} as const satisfies Record<string, CatalogueEntry>;
