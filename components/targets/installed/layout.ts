/** What is specific to a target that an installer has made: where it is, described as a source is, and what is kept here for it. */
import { join } from "node:path";
import { z } from "zod";
import { absolutePath, databaseAdmin, selfHostedSource } from "../../../contract/index.ts";

/** One file or directory, or several in the order of Synapse's `--config-path`. */
const paths = z.preprocess((value) => (typeof value === "string" ? [value] : value), z.array(absolutePath).min(1));

/** `synapse-migration:target` of kind `installed`. */
export const installedTargetSchema = selfHostedSource.pick({ service: true, paths: true, mediaStore: true }).extend({
    kind: z.literal("installed"),
    machine: selfHostedSource.shape.machine.default({ kind: "local" }),
    /** As of a source. Settings of ours go into the last of them where that is a directory, else into the last file. */
    homeserverConfig: paths,
    database: z
        .strictObject({
            /** Who may create and rename databases there. Absent: Synapse's own role where it may, else the server's first one, by its socket. */
            admin: databaseAdmin.optional(),
            /** What its installer's homeserver has written is put aside after a checked copy of it was made; refused without it. */
            replace: z.boolean().default(false),
            /** How this program connects, where that is not as its Synapse does. */
            connection: selfHostedSource.shape.database,
        })
        .prefault({}),
    /** Here: secrets on their way, and media before they are sent. Needs room for all of them. */
    directory: absolutePath,
    /** Python of a virtual environment here that has `matrix-synapse[postgres]`, of the version that is installed there. */
    synapsePython: absolutePath,
    /** Directory of pg_dump and pg_restore here; of its server's major version or newer. */
    postgresPrograms: absolutePath,
});
export type InstalledTargetConfig = z.infer<typeof installedTargetSchema>;

export type InstalledLayout = ReturnType<typeof installedTarget>;

/** The same shape as that of a target that is made here, and where the installed one is. */
export function installedTarget(config: InstalledTargetConfig, serverName: string) {
    const { directory, postgresPrograms: programs, machine, service, homeserverConfig, paths, mediaStore } = config;
    const { admin, replace, connection } = config.database;
    const own = {
        ...(paths === undefined ? {} : { paths }),
        ...(mediaStore === undefined ? {} : { mediaStore }),
        ...(connection === undefined ? {} : { database: connection }),
    };
    const deployment = { kind: "selfHosted" as const, serverName, homeserverConfig, machine, service, ...own };
    return {
        kind: config.kind,
        directory,
        user: undefined,
        python: config.synapsePython,
        clientDirectory: programs,
        mediaStore: join(directory, "media_store"),
        mediaRepo: undefined,
        mediaStorageProvider: undefined,
        listener: { bindAddress: "127.0.0.1", port: 0 },
        deployment,
        database: {
            name: undefined,
            owner: undefined,
            replace,
            server: { kind: config.kind, deployment, ...(admin === undefined ? {} : { admin }), programs, directory },
        },
    };
}
