/** Errors about dumps, manifests and media; the machine: disks, directories, users, tools. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const artefactErrors = {
    "SM-E0905": entry(
        "artefact",
        "a program cannot read the dump",
        "what cannot be read cannot be restored",
        "use the pg_restore of the major version that made the dump, or a newer one",
    ),
    "SM-E0906": entry(
        "artefact",
        "a file of the dump is missing or altered",
        "pg_restore does not notice flipped bits or a shortened file and ends with exit code 0",
        "make the dump again, or copy the named file again from where it was made",
    ),
    "SM-E0909": entry(
        "artefact",
        "the dump is of another homeserver",
        "a database restored under another server name is of no use to anyone",
        "is the run directory the right one? Compare its manifest with the stack's `serverName`",
    ),
    "SM-E0911": entry(
        "artefact",
        "the manifest of the dump is damaged or is not the one the dump step made",
        "without its manifest nothing proves that the restored data is all of it",
        "make the dump again",
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
    "SM-E1201": entry(
        "resources",
        "there is not enough free disk space",
        "a file system that fills up in the middle stops every service on it",
        "free space or set config `workDirectory` or `target.directory` to a larger file system",
    ),
    "SM-E1202": entry(
        "resources",
        "the work directory is not fit to keep a homeserver's dump and keys",
        "what lies there may vanish in the middle of a migration, or be read by others",
        "set config `workDirectory` to a directory of your own on a local disk, mode 0700",
    ),
    "SM-E1206": entry(
        "resources",
        "the target's directory cannot be reached by the user Synapse runs as",
        "Synapse could not read its own configuration",
        "choose another target directory",
    ),
} as const satisfies Record<string, CatalogueEntry>;
