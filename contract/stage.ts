/** Contracts of the steps that look and prepare: phases `assess` and `stage`. */
import { z } from "zod";
import { contract, phases } from "./define.ts";
import { mediaStorageProvider } from "./mediaStorage.ts";
import { mediaRepoTarget } from "./media.ts";
import { replicationAddress } from "./replicate.ts";
import { armoredSecret, secret } from "./secret.ts";
import {
    absolutePath,
    acceptedList,
    check,
    count,
    databaseFormat,
    finding,
    port,
    runReference,
    seconds,
    sha256,
    systemUser,
} from "./shared.ts";
import { databaseAdmin, targetDatabase } from "./targetDatabase.ts";
import { selfHostedSource, source } from "./source.ts";

/** The PostgreSQL server that the target's database will be on. */
const databaseServer = z.discriminatedUnion("kind", [
    z.strictObject({
        /** A cluster of our own below `directory`, on loopback. */
        kind: z.literal("managed"),
        directory: absolutePath,
        /** 0 takes a free one. */
        port,
        /** Directory of initdb, postgres, pg_ctl, pg_dump, pg_restore. */
        programs: absolutePath,
    }),
    z.strictObject({
        kind: z.literal("existing"),
        host: z.string(),
        port,
        admin: z.string(),
        adminPasswordFile: absolutePath,
        programs: absolutePath,
        /** Where the password of Synapse's role is kept, mode 0600. */
        directory: absolutePath,
    }),
]);

/**
 * The undo of a phase: made before its other steps, and undoes whatever those left behind when they failed half-way. Its name is the one
 * that stacks and journals in use have for it.
 */
const phaseUndo = (phase: "stage" | "migrate" | "cutover") =>
    contract({
        name: `guard-${phase}`,
        phase,
        version: 1,
        spec: z.strictObject({ run: runReference, serverName: z.string() }),
        result: z.strictObject({ guards: z.string() }),
    });
export const stageUndoContract = phaseUndo("stage");
export const migrateUndoContract = phaseUndo("migrate");
export const cutoverUndoContract = phaseUndo("cutover");

/** Reads the source and the place the target will have. Changes nothing. */
export const assessContract = contract({
    name: "assess",
    phase: "assess",
    version: 1,
    repeatable: "before-commit",
    spec: z.strictObject({
        /** Without an id its directory is the one that all runs are kept in. */
        run: runReference.omit({ id: true }).extend({ id: z.string().optional() }),
        source,
        /** Directory the target will be made in. */
        targetDirectory: absolutePath,
        /** Python of the target's Synapse environment. */
        targetPython: absolutePath,
        /** As of the step `secrets`; of a target that is a bundle there is none. */
        user: systemUser.optional(),
        /** The server the database will be restored into. Absent, nothing is known of its version: listed as not run. */
        targetServer: databaseServer.optional(),
        /** The target is installed: its own server is found by its configuration. */
        installed: z.strictObject({ deployment: selfHostedSource, admin: databaseAdmin.optional() }).optional(),
        /** The target is a bundle: there is no server, but a pg_dump in this directory. */
        bundle: z.strictObject({ programs: absolutePath, databaseFormat: databaseFormat.optional() }).optional(),
        /** How the database will be copied, and by how many connections or processes; for the predicted downtime. */
        copy: z
            .strictObject({
                mode: z.enum(["archive", "direct", "replicate", "port"]),
                jobs: z.number().int().min(1).optional(),
                /** Where the target's server finds the source's, of `replicate`. */
                replication: replicationAddress.optional(),
            })
            .optional(),
        /** The target has its media there, and none in Synapse. */
        mediaRepo: mediaRepoTarget.optional(),
        /** Absent: the target has all media in its own store. */
        mediaStorageProvider: mediaStorageProvider.optional(),
        /** By an `up`, and not by a preview: what a step that is made anew must know. */
        declares: z.enum(phases).optional(),
        /** By an `up`: what becomes of the fenced source when a step fails. Put back when absent. */
        sourceAfterFailure: z.enum(["restore", "keep"]).optional(),
        /** Cheap checks only: under 10 s at any database size. The others are listed as not run. */
        quick: z.boolean(),
        /** Whether findings that block make the step fail, as they must before anything is created. */
        enforce: z.boolean(),
        /** Codes of warnings that would block otherwise. */
        acknowledged: z.array(z.string()).optional(),
        /** Media without files that are no reason to stop. */
        acceptMissingMedia: acceptedList.optional(),
        /** As of the step `import`. */
        sqliteNul: z.literal("strip").optional(),
        /** Code in the database that is not Synapse's and may move, by its names; none when absent. */
        foreignCode: z.array(z.string()).optional(),
        /** Of an encrypted bundle. */
        passphrase: secret.optional(),
        /** Armored, of an encrypted bundle. The passphrase unlocks it. */
        secretKey: armoredSecret.optional(),
        /** Nothing has to be said about a source that goes on running. */
        rehearsal: z.boolean().optional(),
        pepper: secret.optional(),
        macaroonSecretKey: secret.optional(),
        signingKey: secret.optional(),
    }),
    result: z.strictObject({
        /** The id of the run this assessment belongs to; stays the same from the fence on. */
        runId: z.string(),
        serverName: z.string(),
        versions: z.record(z.string(), z.string()),
        sizes: z.strictObject({ databaseBytes: count, mediaBytes: count, mediaFiles: count, tables: count }),
        /** Estimate, until a rehearsal has measured it. */
        predictedDowntimeSeconds: seconds,
        errors: count,
        warnings: count,
        /** The most severe first; all of them are in the evidence file. */
        findings: z.array(finding),
        /** Whether the target was committed: the source must never serve again, and no earlier phase may be declared. */
        committed: z.boolean(),
        /** Whose the target is; absent where no record is beside it. */
        target: z
            .strictObject({
                state: z.enum(["held", "committed", "released"]),
                /** What it was when it was committed. */
                disposable: z.boolean(),
            })
            .optional(),
        /** Servers of the target that were started and do not run or answer, one line each. */
        down: z.array(z.string()).optional(),
        /** Ids of checks that did not run. */
        notRun: z.array(z.string()),
        evidenceFile: absolutePath,
    }),
});

/** Puts signing key, pepper and macaroon secret into files of mode 0600 and compares them with the source's. */
export const secretsContract = contract({
    name: "secrets",
    phase: "stage",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source,
        targetDirectory: absolutePath,
        /** Whom the target's servers run as, when this runs as root; what is there keeps the user it has. Absent: see `serviceUser.ts`. */
        user: systemUser.optional(),
        signingKey: secret,
        /** Absent when the source has none; empty is not the same as absent. */
        pepper: secret.optional(),
        /** Absent or empty when the source derives it from its signing key: those bytes cannot be written into a configuration. */
        macaroonSecretKey: secret.optional(),
        /** Absent: the target has all media in its own store. */
        mediaStorageProvider: mediaStorageProvider.optional(),
    }),
    result: z.strictObject({
        signingKeyFile: absolutePath,
        /** A homeserver configuration file that holds all secrets of the target, mode 0600. */
        secretsFile: absolutePath,
        /** `{"ed25519:a_AbCd": "<unpadded base64 of the public key>"}`. */
        verifyKeys: z.record(z.string(), z.string()),
    }),
});

/** Makes or finds the PostgreSQL server of the target, its role, and an empty database. */
export const databaseContract = contract({
    name: "database",
    phase: "stage",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source,
        name: z.string(),
        owner: z.string(),
        /** Whether a database with this name may hold data, which is put aside after a checked copy; refused when absent. */
        replace: z.boolean().optional(),
        server: databaseServer,
        /** As of the step `secrets`. */
        user: systemUser.optional(),
    }),
    result: z.strictObject({ database: targetDatabase, serverVersion: z.string(), managed: z.boolean() }),
});

/** Makes the directory of the target's media store. */
export const mediaStorageContract = contract({
    name: "media-storage",
    phase: "stage",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        mediaStore: absolutePath,
        /** As of the step `secrets`. */
        user: systemUser.optional(),
        /** A bucket of the target's own is marked as this run's, before anything is put there. */
        mediaStorageProvider: mediaStorageProvider.optional(),
    }),
    result: z.strictObject({ mediaStore: absolutePath }),
});

/** Writes the target's configuration: the source's, with only what must differ replaced. Starts nothing. */
export const configureContract = contract({
    name: "configure",
    phase: "stage",
    version: 1,
    spec: z.strictObject({
        run: runReference,
        source,
        targetDirectory: absolutePath,
        database: targetDatabase,
        mediaStore: absolutePath,
        signingKeyFile: absolutePath,
        secretsFile: absolutePath,
        listener: z.strictObject({ bindAddress: z.string(), port }),
        /** Absent: the target has all media in its own store. */
        mediaStorageProvider: mediaStorageProvider.optional(),
        /** `external`: another program serves the media, and Synapse none. `synapse` when absent. */
        mediaServer: z.enum(["synapse", "external"]).optional(),
        /** A rehearsal's target must not reach the federation, push gateways, mail servers or application services. */
        isolated: z.boolean(),
    }),
    result: z.strictObject({
        /** For `--config-path`, in order. */
        configFiles: z.array(absolutePath),
        pidFile: absolutePath,
        logFile: absolutePath,
        /** Of the homeserver itself, not of the gateway. */
        baseUrl: z.url(),
        digest: sha256,
        /** Sections of the source that do not come along, one line each. */
        notCarried: z.array(z.string()),
    }),
});

/** Starts what clients reach. It answers 503 until the step `open`. */
export const gatewayContract = contract({
    name: "gateway",
    phase: "stage",
    version: 1,
    applied: ["listener", "retryAfterSeconds"],
    spec: z.strictObject({
        run: runReference,
        directory: absolutePath,
        /** 0 takes a free port. */
        listener: z.strictObject({ bindAddress: z.string(), port }),
        upstream: z.url(),
        /** What serves media where that is not the homeserver. */
        mediaUpstream: z.url().optional(),
        retryAfterSeconds: z.number().int().min(1).max(86_400),
    }),
    result: z.strictObject({ url: z.url(), directory: absolutePath, pidFile: absolutePath }),
});

const mediaSpec = z.strictObject({
    run: runReference,
    source: selfHostedSource,
    mediaStore: absolutePath,
    /** `remote_content` and `remote_thumbnail`: fetched again by Synapse when they are left out. */
    remoteCache: z.enum(["carry", "drop"]),
    /** Absent: what the source has only in a bucket comes into the target's store. */
    mediaStorageProvider: mediaStorageProvider.optional(),
    /** Media without files that are no reason to stop. */
    acceptMissingMedia: acceptedList.optional(),
    /** Digest of the fence token; present in the final pass. */
    fenceToken: sha256.optional(),
    /** The database that the rows of an SQLite file were loaded into, in the final pass: they say which media there are. */
    loaded: z.strictObject({ database: targetDatabase, incoming: z.string() }).optional(),
    /** How fast files are read of a source that serves; as fast as they come when absent. */
    bytesPerSecond: count.optional(),
});
export const mediaResult = z.strictObject({
    files: count,
    bytes: count,
    copied: count,
    /** SHA-256 over the lines `<sha-256> <size> <relative path>` of all carried files, in the order of a sorted walk. */
    treeDigest: sha256,
    missing: count,
    orphans: count,
    checks: z.array(check),
});

/** Copies media while the source still runs, so that the final pass has little to do. */
export const mediaEarlyContract = contract({
    name: "media-early",
    phase: "stage",
    version: 1,
    immaterial: ["acceptMissingMedia", "bytesPerSecond"],
    spec: mediaSpec,
    result: mediaResult,
});

/** Copies what changed since the early pass and compares every file with the source and the database. */
export const mediaFinalContract = contract({
    name: "media-final",
    phase: "migrate",
    version: 1,
    immaterial: ["acceptMissingMedia", "bytesPerSecond"],
    spec: mediaSpec,
    result: mediaResult,
});
