/** Contracts of the steps that move a homeserver into one that an installer has made: what they do where other targets are made by us. */
import { z } from "zod";
import { contract } from "./define.ts";
import { absolutePath, check, count, instant, runReference, seconds, sha256 } from "./shared.ts";
import { selfHostedSource, source } from "./source.ts";
import { databaseAdmin, targetDatabase } from "./targetDatabase.ts";

/** Looks at the database server of the installed homeserver, and at what stands under its database's name. Makes nothing but a trial. */
export const installedDatabaseContract = contract({
    name: "installed-database",
    phase: "stage",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source,
        /** The installed homeserver, described as one that is left. */
        deployment: selfHostedSource,
        /** Found out when absent: see the result. */
        admin: databaseAdmin.optional(),
        /** Whether its database may hold data, which is put aside after a checked copy; refused when absent. */
        replace: z.boolean().optional(),
        /** Directory of pg_dump and pg_restore, here. */
        programs: absolutePath,
        /** What is kept here for the target. */
        directory: absolutePath,
    }),
    result: z.strictObject({ database: targetDatabase, serverVersion: z.string() }),
});

/** Stops the installed homeserver for good: what comes before everything else that changes anything of it. */
export const vacateContract = contract({
    name: "vacate",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({ run: runReference, deployment: selfHostedSource }),
    result: z.strictObject({ vacatedAt: instant, ran: z.boolean() }),
});

const placedMedia = z.strictObject({
    run: runReference,
    deployment: selfHostedSource,
    /** The store that is sent, here. */
    mediaStore: absolutePath,
    /** Of the store here, in the final pass: what is there afterwards is compared file by file. */
    treeDigest: sha256.optional(),
    /** The verification that it comes after, and the stop of the installed homeserver. */
    after: z.array(z.string()).optional(),
});
const placedResult = z.strictObject({ files: count, bytes: count, sent: count });

/** Sends media to the installed homeserver's store while its own homeserver still runs. */
export const placeMediaEarlyContract = contract({
    name: "place-media-early",
    phase: "stage",
    version: 1,
    spec: placedMedia,
    result: placedResult,
});

/** Sends what is new, and has every file hashed where it is then. */
export const placeMediaContract = contract({
    name: "place-media",
    phase: "migrate",
    version: 1,
    spec: placedMedia,
    result: placedResult,
});

/** Puts signing key, pepper and the other secrets where the installed homeserver reads its own, and keeps what was there. */
export const identityContract = contract({
    name: "identity",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source,
        deployment: selfHostedSource,
        signingKeyFile: absolutePath,
        secretsFile: absolutePath,
        verifyKeys: z.record(z.string(), z.string()),
        /** The installed homeserver stands still. */
        vacatedAt: instant,
    }),
    result: z.strictObject({
        /** What was written there, mode and owner as Synapse's own files have them. */
        written: z.array(absolutePath),
        digest: sha256,
    }),
});

/** Starts the installed homeserver as the one that was moved, where nobody but us finds it. */
export const startInstalledContract = contract({
    name: "start-installed",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source,
        deployment: selfHostedSource,
        database: targetDatabase,
        verifyKeys: z.record(z.string(), z.string()),
        /** Absent where the source comes as files. */
        fenceToken: sha256.optional(),
        proof: sha256,
        swappedAt: instant,
        /** Of the step `identity`. */
        identity: sha256,
        /** Bytes in its store, so that this comes after they are there. */
        mediaBytes: count,
    }),
    result: z.strictObject({
        /** What it calls itself to its clients: asked through its machine until it is opened. */
        baseUrl: z.url(),
        version: z.string(),
        startedAt: instant,
        healthySeconds: seconds,
    }),
});

/** Lets clients in: the installed homeserver listens where its installer had it listen, with all its workers. */
export const openInstalledContract = contract({
    name: "open-installed",
    phase: "cutover",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        deployment: selfHostedSource,
        committedAt: instant,
        verifyKeys: z.record(z.string(), z.string()),
    }),
    result: z.strictObject({
        openedAt: instant,
        downtimeSeconds: seconds.optional(),
        checks: z.array(check),
        url: z.url(),
    }),
});
