/** Contracts of the steps that move a homeserver: phase `migrate`. */
import { z } from "zod";
import { contract } from "./define.ts";
import { mediaStorageProvider } from "./mediaStorage.ts";
import { handedMedia } from "./media.ts";
import { secret } from "./secret.ts";
import { absolutePath, acceptedList, check, count, instant, runReference, seconds, sha256 } from "./shared.ts";
import { targetDatabase } from "./targetDatabase.ts";
import { selfHostedSource, source } from "./source.ts";

/** Has a test account of the source leave things behind that the probe looks for afterwards. */
export const canaryContract = contract({
    name: "canary",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source: selfHostedSource,
        /** Of the source; taken from its first listener that serves clients when absent. */
        baseUrl: z.url().optional(),
        user: z.string(),
        password: secret,
    }),
    result: z.strictObject({
        /** Tokens, event and media ids, mode 0600. */
        canaryFile: absolutePath,
        userId: z.string(),
        /** What the account could not leave, for example a guest token where guests are not allowed. */
        notLeft: z.array(z.string()),
    }),
});

/** Where the source's rows will go: it must be there to take over before the source is stopped. */
const fenceTarget = z.strictObject({
    database: targetDatabase,
    /** Of a server of our own on this machine, which is started when it does not run. */
    serverDirectory: absolutePath.optional(),
});
export type FenceTarget = z.infer<typeof fenceTarget>;

/** The action of the step `fence` that notes when the downtime began. */
export const fencedAtAction = "fenced-at";

/** Stops the source and proves that it can no longer write. */
export const fenceContract = contract({
    name: "fence",
    phase: "migrate",
    version: 1,
    irrevocable: true,
    owner: "source",
    spec: z.strictObject({
        run: runReference,
        source: selfHostedSource,
        /** Absent where the source is exported into files. */
        target: fenceTarget.optional(),
    }),
    result: z.strictObject({
        /** SHA-256 of the fence token, which is kept in the run directory. */
        token: sha256,
        /** When the source was told to stop: the downtime begins. */
        fencedAt: instant,
        /** How often a stream was looked at to see that it stands still, and for how long. */
        stillSeconds: seconds,
        sessionsEnded: count,
    }),
});

/**
 * Puts the fenced source back after a step that came after the fence has failed: no resource of a stack, but a step of its own, so that it is
 * journaled, finished after a kill, and taken back with its phase.
 */
export const giveBackContract = contract({
    name: "give-back",
    phase: "migrate",
    version: 1,
    irrevocable: true,
    owner: "source",
    spec: z.strictObject({
        run: runReference,
        /** The step that has failed. */
        failed: z.string(),
        /** Of its error; `internal` for one that nobody expected. */
        code: z.string(),
    }),
    /** Another step may fail at the same time: the first one is told. */
    immaterial: ["failed", "code"],
    result: z.strictObject({
        failed: z.string(),
        code: z.string(),
        /** Whether its service runs; it does not where it did not before the fence either, or where another stack holds it. */
        serves: z.boolean(),
        at: instant,
    }),
});

/** `pg_dump -Fd` and a manifest of all that it holds, out of one snapshot. */
export const dumpContract = contract({
    name: "dump",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source: selfHostedSource,
        /** Absent in a rehearsal, which takes a snapshot of a running source. */
        fenceToken: sha256.optional(),
        jobs: z.number().int().min(1).max(64),
        clientDirectory: absolutePath,
    }),
    result: z.strictObject({
        directory: absolutePath,
        manifestFile: absolutePath,
        manifestDigest: sha256,
        tables: count,
        rows: count,
        bytes: count,
        seconds,
    }),
});

/** The copy that the safeguard made of the database that is replaced: where its manifest is, and which one it must be. */
export const safeguardCopy = z.strictObject({ manifestFile: absolutePath, digest: sha256 });
export type SafeguardCopy = z.infer<typeof safeguardCopy>;

/** A checked copy of what the swap will put aside. */
export const safeguardContract = contract({
    name: "safeguard",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        database: targetDatabase,
        /** Whether a database that holds data may be replaced; refused when absent. */
        replace: z.boolean().optional(),
        /** Processes that dump and restore at the same time; 2 when absent. */
        jobs: z.number().int().min(1).max(64).optional(),
    }),
    result: z.discriminatedUnion("previous", [
        /** What stands under the target's name today: nothing, or nothing that anybody needs. */
        z.strictObject({ previous: z.enum(["absent", "empty"]) }),
        /** Somebody's data, of which a copy was made that was restored once and compared. */
        safeguardCopy.extend({ previous: z.literal("copied"), rows: count, bytes: count, seconds }),
    ]),
});

/** Restores into a new database beside the one in use. */
export const restoreContract = contract({
    name: "restore",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        serverName: z.string(),
        database: targetDatabase,
        manifestFile: absolutePath,
        manifestDigest: sha256,
        /** One-time keys are kept only when the source was fenced before the copy. */
        fenceToken: sha256.optional(),
        /** Orders the safeguard before the restore. */
        safeguard: z.string(),
        jobs: z.number().int().min(1).max(64),
    }),
    result: z.strictObject({
        incoming: z.string(),
        tables: count,
        rows: count,
        oneTimeKeys: z.enum(["kept", "emptied"]),
        seconds,
    }),
});

/** Compares the restored database, its definitions, its sequences and the media with the manifest. */
export const verifyContract = contract({
    name: "verify",
    phase: "migrate",
    version: 1,
    immaterial: ["acceptMissingMedia"],
    spec: z.strictObject({
        run: runReference,
        source,
        database: targetDatabase,
        incoming: z.string(),
        manifestFile: absolutePath,
        manifestDigest: sha256,
        /** The manifest is that of a catch-up, which has compared the rows while both sides were there. */
        replicated: z.boolean().optional(),
        /** The manifest is that of an import, although the source can be stopped: its rows are in an SQLite file. */
        imported: z.boolean().optional(),
        oneTimeKeys: z.enum(["kept", "emptied"]),
        mediaStore: absolutePath,
        /** Of the store; absent where the media are in another repository. */
        mediaTreeDigest: sha256.optional(),
        /** What was handed to another repository: it is asked once more. */
        handedMedia: handedMedia.optional(),
        /** Media in a bucket that is kept count as there. */
        mediaStorageProvider: mediaStorageProvider.optional(),
        /** Media without files that are no reason to fail. */
        acceptMissingMedia: acceptedList.optional(),
        /** Rows that came with the media of a bundle, and are not in its dump. */
        mediaRowsAdded: count.optional(),
        signingKeyFile: absolutePath,
        secretsFile: absolutePath,
        remoteCache: z.enum(["carry", "drop"]),
    }),
    result: z.strictObject({
        /** SHA-256 of the list of checks and what they saw. */
        proof: sha256,
        tables: count,
        rows: count,
        passed: count,
        warnings: z.array(check),
        notRun: z.array(check),
    }),
});

/** Gives the restored database the name that Synapse connects to. */
export const swapContract = contract({
    name: "swap",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        database: targetDatabase,
        incoming: z.string(),
        proof: sha256,
        /** Of the database with the name, when it holds data. Without one such a database is not put aside. */
        copy: safeguardCopy.optional(),
    }),
    result: z.strictObject({ name: z.string(), previous: z.string().optional(), swappedAt: instant }),
});

/** Starts the target behind the closed gateway. */
export const startContract = contract({
    name: "start",
    phase: "migrate",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source,
        /** Absent in a rehearsal, whose target is isolated, and for a source that cannot be fenced from here. */
        fenceToken: sha256.optional(),
        proof: sha256,
        swappedAt: instant,
        python: absolutePath,
        configFiles: z.array(absolutePath).min(1),
        signingKeyFile: absolutePath,
        verifyKeys: z.record(z.string(), z.string()),
        pidFile: absolutePath,
        logFile: absolutePath,
        baseUrl: z.url(),
        database: targetDatabase,
    }),
    result: z.strictObject({ baseUrl: z.url(), version: z.string(), startedAt: instant, healthySeconds: seconds }),
});

/** Asks the started target for what only the same server can answer. */
export const probeContract = contract({
    name: "probe",
    phase: "migrate",
    version: 1,
    immaterial: ["known"],
    spec: z.strictObject({
        run: runReference,
        /** Of one that is installed: it is asked through its machine, where it listens now. */
        deployment: selfHostedSource.optional(),
        serverName: z.string(),
        baseUrl: z.url(),
        /** Who serves media where that is not the homeserver; without an address it cannot be asked. */
        mediaServer: z.strictObject({ baseUrl: z.url().optional() }).optional(),
        startedAt: instant,
        verifyKeys: z.record(z.string(), z.string()),
        pepper: secret.optional(),
        canaryFile: absolutePath.optional(),
        /** Name of the test account, to log in as where it has left no file. */
        canaryUser: z.string().optional(),
        canaryPassword: secret.optional(),
        /** Of a source that comes as files, which could not be given anything to look for: what its database names is looked for. */
        known: z
            .strictObject({
                database: targetDatabase,
                /** Media without files are accepted, or none came with the source. */
                mayLackMedia: z.boolean(),
            })
            .optional(),
    }),
    result: z.strictObject({ proof: sha256, passed: count, warnings: z.array(check), notRun: z.array(check) }),
});
