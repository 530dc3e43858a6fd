/** Errors about media of other servers, and about handing media to a repository of its own. */
import { entry, type CatalogueEntry } from "./entry.ts";

export const mediaErrors = {
    "SM-E0607": entry(
        "state",
        "somebody has the account that this run would make for a moment",
        "an account of a person is never used or removed by a migration",
        "choose another `run` id, or have `canaryUser` name an administrator of the homeserver; then no account is made",
    ),
    "SM-E0530": entry(
        "check",
        "matrix-media-repo does not serve this homeserver",
        "its importer would take the media for another server's, which it throws away when room is needed",
        "add the homeserver to `homeservers` of matrix-media-repo's configuration, with `name` as its server name is written; is `target.media.config` the right one?",
    ),
    "SM-E0531": entry(
        "check",
        "matrix-media-repo refuses media as long as the homeserver has",
        "its importer ends at the first one, with the source stopped",
        "raise `uploads.maxBytes` of matrix-media-repo's configuration for the import; it may be lowered afterwards",
    ),
    "SM-E0532": entry(
        "check",
        "the configuration of matrix-media-repo cannot be used",
        "its importer reads the same configuration, and would write somewhere else or not at all",
        "correct the named setting, or `target.media.config`; does matrix-media-repo start with it?",
    ),
    "SM-E0533": entry(
        "check",
        "matrix-media-repo's importer cannot be run",
        "it has to write media that matrix-media-repo may read and delete, and never as root",
        "name the user that matrix-media-repo runs as (`target.media.user`), and have it be able to read and run what is named",
    ),
    "SM-W0534": entry(
        "check",
        "matrix-media-repo would give media to anybody who has its address",
        "at the source only who has a token gets this media; its importer keeps that only where all it imports is like that",
        "set `repo.freezeUnauthenticatedMedia: true` in matrix-media-repo's configuration before the import; older media then needs a token, too",
    ),
    "SM-E0608": entry(
        "verify",
        "media did not arrive in matrix-media-repo",
        "its importer passes over what it does not like without a word, and people would miss the media",
        "read the importer's log lines above; then run the same command again: what is there is not imported a second time",
    ),
} as const satisfies Record<string, CatalogueEntry>;
