/** What is specific to a target on the machine that runs the migration: where its parts live, and on which ports. */
import { join } from "node:path";
import { z } from "zod";
import { absolutePath, keptBucket, mediaRepoTarget, ownBucket, port, systemUser } from "../../../contract/index.ts";

/** Loopback and a free port: right for what stands behind the gateway. */
const listener = z
    .strictObject({ bindAddress: z.string().min(1).default("127.0.0.1"), port: port.default(0) })
    .default({ bindAddress: "127.0.0.1", port: 0 });
const databaseName = z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,39}$/, "must be a lower-case PostgreSQL name of at most 40 characters")
    .default("synapse");
/** A database under the target's name that holds data is put aside after a checked copy of it was made; without it such a database is refused. */
const replace = z.boolean().default(false);

/** `synapse-migration:target` of kind `local`. */
export const localTargetSchema = z.strictObject({
    kind: z.literal("local"),
    /** Everything the target owns lives below it: configuration, secrets, media store, managed database. */
    directory: absolutePath,
    /** Whom its servers run as where Pulumi runs as root. Absent: `matrix-synapse`, `synapse` or `nobody`, the first that exists. */
    user: systemUser.optional(),
    /** Python of a virtual environment that has `matrix-synapse[postgres]`. */
    synapsePython: absolutePath,
    /** Directory of initdb, postgres, pg_ctl, pg_dump, pg_restore; of the source server's major version or newer. */
    postgresPrograms: absolutePath,
    database: z
        .discriminatedUnion("kind", [
            /** A cluster of our own, on loopback. */
            z.strictObject({
                kind: z.literal("managed"),
                port: port.default(0),
                name: databaseName,
                owner: databaseName,
                replace,
            }),
            /** A server that is there already, and a role of it that may create and rename databases. */
            z.strictObject({
                kind: z.literal("existing"),
                host: z.string().min(1),
                port: port.min(1).default(5432),
                name: databaseName,
                owner: databaseName,
                replace,
                admin: z.string().min(1).default("postgres"),
                adminPasswordFile: absolutePath,
            }),
        ])
        .default({ kind: "managed", port: 0, name: "synapse", owner: "synapse", replace: false }),
    /**
     * Where media are kept besides the media store. Absent: nowhere, and what the source has only in a bucket comes into the store.
     * `keep`: in the source's bucket, which moves with the homeserver. `s3`: in a bucket of the target's own.
     */
    mediaStorageProvider: z.discriminatedUnion("kind", [keptBucket, ownBucket]).optional(),
    /** Of Synapse itself. Port 0 takes a free one. */
    listener,
    /** What clients, other servers, or the reverse proxy before it reach. Port 0 takes a free one. */
    gateway: listener,
    /** Who serves media instead of Synapse, whose own store is used when absent. */
    media: mediaRepoTarget.optional(),
});
export type LocalTargetConfig = z.infer<typeof localTargetSchema>;

/** Where a target's parts go: the same shape for every kind of target. */
export type TargetLayout = ReturnType<typeof localTarget>;

/** The layout below `directory`; nothing of it is made here. */
export function localTarget(config: LocalTargetConfig) {
    const { directory, postgresPrograms, database } = config;
    return {
        kind: config.kind,
        directory,
        user: config.user,
        python: config.synapsePython,
        clientDirectory: postgresPrograms,
        mediaStore: join(directory, "media_store"),
        mediaRepo: config.media,
        mediaStorageProvider: config.mediaStorageProvider,
        listener: config.listener,
        gateway: { directory: join(directory, "gateway"), listener: config.gateway },
        database: {
            name: database.name,
            owner: database.owner,
            replace: database.replace,
            server:
                database.kind === "managed"
                    ? {
                          kind: database.kind,
                          directory: join(directory, "postgres"),
                          port: database.port,
                          programs: postgresPrograms,
                      }
                    : {
                          kind: database.kind,
                          host: database.host,
                          port: database.port,
                          admin: database.admin,
                          adminPasswordFile: database.adminPasswordFile,
                          programs: postgresPrograms,
                          directory: join(directory, "postgres"),
                      },
        },
    };
}
