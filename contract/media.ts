/** Contracts of the steps about media that Synapse's own store does not hold: other servers' media, and media of another repository. */
import { z } from "zod";
import { contract } from "./define.ts";
import { armoredSecret, secret } from "./secret.ts";
import { absolutePath, acceptedList, check, count, instant, runReference, seconds, sha256 } from "./shared.ts";
import { targetDatabase } from "./targetDatabase.ts";
import { selfHostedSource, source } from "./source.ts";

/** An installed matrix-media-repo that serves the homeserver's media instead of Synapse. It is not made here, nor started. */
export const mediaRepoTarget = z.strictObject({
    kind: z.literal("mediaRepo"),
    /** Its program `gdpr_import`, of the version that serves. */
    importer: absolutePath,
    /** Its configuration: a file, or a directory of files, as given to its `-config`. */
    config: absolutePath,
    /** Room for the archive that the importer reads: as much as the media take. A directory that its user can reach. */
    directory: absolutePath,
    /** The user that it runs as, and owns its datastores; the owner of its configuration when absent. Of use to root only. */
    user: z.string().min(1).optional(),
    /** `MACHINE_ID` of the importer: any but that of a process that serves, which is 0 unless it was set. */
    machineId: z.number().int().min(1).max(1023).default(1),
    /** The importer is ended after so many hours. */
    deadlineHours: z.number().min(0.001).max(720).default(24),
    /** Where it answers; the gateway then sends media there, and quarantines and probes are asked of it. */
    baseUrl: z.url({ protocol: /^https?$/ }).optional(),
    /** Token of one of its administrators, mode 0600; its `sharedSecretAuth` is used when absent. */
    adminTokenFile: absolutePath.optional(),
    /** It is there for rehearsals, and may keep what they import: nothing is ever taken out of it. */
    disposable: z.boolean().default(false),
});
export type MediaRepoTarget = z.infer<typeof mediaRepoTarget>;

/** What was handed over: the manifest of the archive, which the run keeps. */
export const handedMedia = z.strictObject({
    manifestFile: absolutePath,
    manifestDigest: sha256,
    /** Of matrix-media-repo. */
    config: absolutePath,
});
export type HandedMedia = z.infer<typeof handedMedia>;

/** Writes the media as an archive, has matrix-media-repo's own importer read it, and asks its database whether all of it arrived. */
export const handMediaContract = contract({
    name: "hand-media",
    phase: "migrate",
    version: 1,
    immaterial: ["acceptMissingMedia"],
    spec: z.strictObject({
        run: runReference,
        source,
        mediaRepo: mediaRepoTarget,
        /** Absent in a rehearsal, and for a source that comes as files. */
        fenceToken: sha256.optional(),
        /** The database that a source's files were loaded into: its rows say which media there are. */
        loaded: z.strictObject({ database: targetDatabase, incoming: z.string() }).optional(),
        /** Media without files that are no reason to stop. */
        acceptMissingMedia: acceptedList.optional(),
        passphrase: secret.optional(),
        /** Armored, of an encrypted bundle. The passphrase unlocks it. */
        secretKey: armoredSecret.optional(),
    }),
    result: handedMedia.extend({
        media: count,
        bytes: count,
        /** Media that this run added; the others were there. */
        imported: count,
        /** Media that were quarantined on the source, and that matrix-media-repo serves again. */
        servedAgain: count,
        checks: z.array(check),
        seconds,
    }),
});

/** Has the started target forget the cached media of other servers that did not come along: their rows did, with the database. */
export const purgeRemoteMediaContract = contract({
    name: "purge-remote-media",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        /** Of one that is installed: it is asked through its machine, where it listens now. */
        deployment: selfHostedSource.optional(),
        serverName: z.string(),
        database: targetDatabase,
        mediaStore: absolutePath,
        baseUrl: z.url(),
        startedAt: instant,
        /** What the test account left on the source; its token is used where the account is an administrator of the homeserver. */
        canaryFile: absolutePath.optional(),
        /** Name of the test account, to log in as where it has left no file. */
        canaryUser: z.string().optional(),
        canaryPassword: secret.optional(),
    }),
    result: z.strictObject({
        /** Rows that went. */
        purged: count,
        /** Rows that stay without a file and may be asked for. Quarantined ones stay on purpose, and are not counted. */
        withoutFile: count,
        quarantined: count,
        /** Whose token Synapse's admin API was asked with. */
        askedAs: z.enum(["nobody", "test account", "temporary account"]),
        checks: z.array(check),
        seconds,
    }),
});
