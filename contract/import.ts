/** Contracts of the steps that bring in what comes as files: they stand in for fence, dump, restore and the media passes. */
import { z } from "zod";
import { contract } from "./define.ts";
import { armoredSecret, secret } from "./secret.ts";
import { absolutePath, acceptedList, count, runReference, seconds, sha256 } from "./shared.ts";
import { targetDatabase } from "./targetDatabase.ts";
import { bundleSource, selfHostedSource } from "./source.ts";
import { mediaResult } from "./stage.ts";

/** Reads a dump as what it is, a foreign program, and loads what it defines and holds into a new database beside the one in use. */
export const importContract = contract({
    name: "import",
    phase: "migrate",
    version: 1,
    immaterial: ["sqliteNul"],
    spec: z.strictObject({
        run: runReference,
        source: bundleSource,
        database: targetDatabase,
        /** Code in the database that is not Synapse's and may move, by its names; none when absent. */
        foreignCode: z.array(z.string()).optional(),
        /** `strip`: NUL characters are taken out of texts of an SQLite database. Such rows are refused when absent. */
        sqliteNul: z.literal("strip").optional(),
        /** Orders the safeguard before the import. */
        safeguard: z.string(),
        jobs: z.number().int().min(1).max(64),
        passphrase: secret.optional(),
        /** Armored, of an encrypted bundle. The passphrase unlocks it. */
        secretKey: armoredSecret.optional(),
        /** Python of the target's Synapse environment. */
        targetPython: absolutePath,
        /** Public halves of the keys that the target will sign with. */
        verifyKeys: z.record(z.string(), z.string()),
    }),
    result: z.strictObject({
        incoming: z.string(),
        manifestFile: absolutePath,
        manifestDigest: sha256,
        tables: count,
        rows: count,
        oneTimeKeys: z.enum(["kept", "emptied"]),
        /** Between the newest event in the dump and its import: what happened since is not in it. */
        lossWindowSeconds: seconds.optional(),
        seconds,
    }),
});

/** Gets the SQLite file of a homeserver that was stopped here, so that the step `import` reads it as it reads one that was handed over. */
export const takeFileContract = contract({
    name: "take-file",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source: selfHostedSource,
        /** Absent in a rehearsal, which takes a snapshot of a running source. */
        fenceToken: sha256.optional(),
        /** Python of the target's Synapse environment: SQLite comes with it. */
        targetPython: absolutePath,
    }),
    result: z.strictObject({
        /** Of the database, with what SQLite keeps beside it: the source's own where that is on this machine, only to be read. */
        file: absolutePath,
        bytes: count,
        seconds,
    }),
});

/** Puts the media of a bundle into the target's store, with their rows where the database has none. */
export const importMediaContract = contract({
    name: "import-media",
    phase: "migrate",
    version: 1,
    immaterial: ["acceptMissingMedia"],
    spec: z.strictObject({
        run: runReference,
        source: bundleSource,
        database: targetDatabase,
        incoming: z.string(),
        mediaStore: absolutePath,
        /** `remote_content` and `remote_thumbnail`: fetched again by Synapse when they are left out. */
        remoteCache: z.enum(["carry", "drop"]),
        /** Media without files that are accepted. */
        acceptMissingMedia: acceptedList.optional(),
        passphrase: secret.optional(),
        /** Armored, of an encrypted bundle. The passphrase unlocks it. */
        secretKey: armoredSecret.optional(),
    }),
    result: mediaResult.extend({
        /** Of `local_media_repository`, made from what an archive of matrix-media-repo says. */
        rowsAdded: count,
    }),
});
