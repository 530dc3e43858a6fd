/** Errors and warnings of sources that come as files. */
import { entry } from "./entry.ts";

export const sourceFilesErrors = {
    "SM-W0713": entry(
        "state",
        "A source that comes as files cannot be fenced",
        "If the old homeserver still runs, or is started again, two servers sign as one: rooms fork, and messages cannot be decrypted.",
        "stop the old server for good, or have its provider do it, and point DNS and well-known away from it; is it stopped?",
    ),
    "SM-W0831": entry(
        "secret",
        "No macaroon secret came with the bundle",
        "Guest tokens, links in mails that were sent, and short login tokens of the old server are not accepted any more. Users stay logged in.",
        "ask who made the bundle for `macaroon_secret_key`; else go on without it",
    ),
    "SM-E0917": entry(
        "artefact",
        "The file is not a dump of a database",
        "Nothing can be restored from it.",
        "is `source.database` the dump? `file <path>` says what it is",
    ),
    "SM-E0969": entry(
        "artefact",
        "The files are neither a media store nor an archive of media",
        "Pictures and files of all rooms would be missing.",
        "is `source.media` the media export, or the directory that has `local_content` in it?",
    ),
    "SM-W0968": entry(
        "artefact",
        "No media come with the bundle",
        "The database names files that will not be there: pictures and attachments that users have sent are lost unless they are added.",
        "set `source.media` to the media export, or to the media store of the backup",
    ),
} as const;
