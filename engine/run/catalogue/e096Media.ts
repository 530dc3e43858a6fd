/** SM-E096: media stores and archives of matrix-media-repo. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const e096Media = {
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
    "SM-E0962": entry(
        "artefact",
        "media that the database promises is missing or altered",
        "people would see broken pictures and files for good: nobody else has a copy of a homeserver's own media",
        "restore the named files from a backup, or delete the media through the admin API; is a media storage provider in use?",
    ),
    "SM-E0963": entry(
        "artefact",
        "a media store is not fit to be copied",
        "a copy of a store that is not what it seems is incomplete without anybody noticing",
        "correct what is named; is `media_store_path` (or `source.mediaStore`) the right directory?",
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
    "SM-E0967": entry(
        "artefact",
        "media have no file at the source",
        "people see broken pictures and files there already; what is missing must not be more than somebody knows of",
        "restore the files from a backup, or accept that exactly these are missing: which value does config `acceptMissingMedia` have to have?",
    ),
    "SM-W0968": entry(
        "artefact",
        "No media come with the bundle",
        "The database names files that will not be there: pictures and attachments that users have sent are lost unless they are added.",
        "set `source.media` to the media export, or to the media store of the backup",
    ),
    "SM-E0969": entry(
        "artefact",
        "The files are neither a media store nor an archive of media",
        "Pictures and files of all rooms would be missing.",
        "is `source.media` the media export, or the directory that has `local_content` in it?",
    ),
} as const satisfies Record<string, CatalogueEntry>;
